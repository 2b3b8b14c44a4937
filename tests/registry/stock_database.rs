//! A stock network's database, opened where it lies.

use std::fs;

use re6st::os::database::{Database, DatabaseError, Location};
use re6st::proto::version::NetworkVersion;
use tempfile::TempDir;

use super::process::{Registry, wait};
use super::vectors::{THEN, identity, owner};

/// Old certificates stay valid for renewal as long as this test may be run.
const FOR_EVER: &[&str] = &["--grace-period", "3000000000", "--anonymous-prefix-length", "16"];

/// The folder of the stock network's registry.
fn folder() -> TempDir {
    let folder = TempDir::with_prefix("re6st-stock-database-").unwrap();
    let (certificate, key) = owner("ca");
    let put = |name: &str, octets: &[u8]| {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.path().join(name);
        fs::write(&path, octets).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    put("ca.crt", &certificate);
    put("ca.key", &key);
    put("registry.db", include_bytes!("../vectors/registry.db"));
    folder
}

/// Everything in a database, as `sqlite3 .dump` tells it.
fn dump(folder: &std::path::Path) -> String {
    let database = folder.join("registry.db");
    crate::namespace::run("sqlite3", &[database.to_str().unwrap(), ".dump"])
}

#[test]
fn a_stock_network_does_not_notice_the_change() {
    let folder = folder();
    let before = dump(folder.path());
    let registry = Registry::serve(folder, FOR_EVER);
    let h1 = identity("h1");
    let mut client =
        re6st::command::registry::client::RegistryClient::new(registry.url(), h1.clone());
    let told = wait(client.get_network_config()).unwrap();
    let version = NetworkVersion::parse(&told.version, &h1.authority).unwrap();
    assert_eq!(version.number(), 1, "what did not change is not announced");
    assert_eq!(told.registry_prefix.to_string(), "0/16");
    // Not a single row of upstream's; it ignores what we add.
    let own = [
        "crl_signed",
        "journal",
        "last_run",
        "grace_period",
        "date BIGINT NOT NULL",
        "reason TEXT",
    ];
    let after = dump(registry.path());
    let theirs: Vec<&str> =
        after.lines().filter(|line| !own.iter().any(|word| line.contains(word))).collect();
    assert_eq!(theirs, before.lines().collect::<Vec<_>>());
    let stored = wait(client.renew_certificate()).unwrap();
    assert_eq!(stored.serial(), h1.certificate.serial());
    assert!(stored.not_after() >= THEN);
}

#[test]
fn the_next_member_gets_what_stock_would_give() {
    let registry = Registry::serve(folder(), FOR_EVER);
    let new = registry.join("new", &["--anonymous"]);
    let pem = fs::read(new.join("cert.crt")).unwrap();
    let certificate = re6st::proto::certificate::Certificate::from_pem(&pem).unwrap();
    assert_eq!(certificate.subject(), "serialNumber=5, CN=5/16");
    assert_eq!(certificate.serial(), Some(6));
    let after = dump(registry.path());
    assert!(after.contains("INSERT INTO config VALUES('serial',6)"), "{after}");
    assert!(!after.contains("'0000000000000101',NULL,NULL"), "5/16 is taken");
}

#[test]
fn a_database_of_something_else_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("other.db");
    let made = "CREATE TABLE token (token TEXT, other TEXT)";
    crate::namespace::run("sqlite3", &[path.to_str().unwrap(), made]);
    let place = Location::File(path.clone());
    let refused = Database::open(&place).err().unwrap();
    assert!(matches!(refused, DatabaseError::Schema(table) if table == "token"));
    fs::write(&path, b"not a database at all, only text").unwrap();
    assert!(Database::open(&place).is_err());
}
