//! How a PostgreSQL server is connected to: TLS with a verified certificate, except over a Unix socket, or on the
//! loopback interface if `sslmode=disable` says so. A server that answers "no TLS" gets no password.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use postgres::Config;
use postgres::config::{Host, SslMode};

use super::DatabaseError;

/// An address, read.
pub struct Address {
    /// Where the server is, who asks, and whether TLS is required.
    pub config: Config,
    /// The certificates of the CAs that the server's is verified against, PEM; the system's if `None`.
    pub root_certificates: Option<PathBuf>,
}

impl Address {
    /// Reads `postgres://USER[:PASSWORD]@HOST/DATABASE[?sslmode=…&sslrootcert=FILE]`.
    pub fn parse(url: &str) -> Result<Self, DatabaseError> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut root_certificates) = (None, None);
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match form_urlencoded::parse(pair.as_bytes()).next() {
                Some((key, value)) if key == "sslmode" => mode = Some(value.into_owned()),
                Some((key, value)) if key == "sslrootcert" => {
                    root_certificates = Some(PathBuf::from(value.into_owned()));
                }
                _ => rest.push(pair),
            }
        }
        let mut config: Config = format!("{place}?{}", rest.join("&")).parse()?;
        let ssl_mode = ssl_mode(&config, mode.as_deref())?;
        config.ssl_mode(ssl_mode);
        Ok(Self { config, root_certificates })
    }

    /// Takes the password from the environment variable PGPASSWORD, or from the file that PGPASSFILE names, if
    /// the address has none.
    pub fn find_password(&mut self) {
        if self.config.get_password().is_some() {
            return;
        }
        if let Some(password) = std::env::var("PGPASSWORD").ok().filter(|text| !text.is_empty()) {
            self.config.password(password);
        } else if let Some(path) = std::env::var_os("PGPASSFILE")
            && let Some(password) = password_in(Path::new(&path), &self.config)
        {
            self.config.password(password);
        }
    }
}

fn ssl_mode(config: &Config, given: Option<&str>) -> Result<SslMode, DatabaseError> {
    let hosts = config.get_hosts();
    let is_socket = |host: &Host| matches!(host, Host::Unix(_));
    if config.get_hostaddrs().is_empty() && hosts.iter().all(is_socket) {
        return Ok(SslMode::Disable);
    }
    match given {
        Some("disable") if hosts.iter().all(is_here) && config.get_hostaddrs().iter().all(IpAddr::is_loopback) => {
            Ok(SslMode::Disable)
        }
        Some("disable") => Err(DatabaseError::Tls(
            "sslmode=disable is for this host's loopback address only: others on the way would read the \
             password"
                .into(),
        )),
        None | Some("prefer" | "require" | "verify-ca" | "verify-full") => Ok(SslMode::Require),
        Some(other) => Err(DatabaseError::Tls(format!(
            "sslmode={other} is not known; use verify-full, or disable on the loopback interface"
        ))),
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

/// The password of the first line `HOST:PORT:DATABASE:USER:PASSWORD` that fits; `*` fits everything.
fn password_in(path: &Path, config: &Config) -> Option<String> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    if mode & 0o077 != 0 {
        // As PostgreSQL's own clients.
        tracing::warn!("{} is not used: others may read it; chmod 600", path.display());
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    let host = match config.get_hosts().first()? {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.to_string_lossy().into_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5_432).to_string();
    let user = config.get_user().unwrap_or_default();
    let wanted = [&host, &*port, config.get_dbname().unwrap_or(user), user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let is_fit = |(field, wanted): (&String, &&str)| field == "*" || field == *wanted;
        let fits = fields.len() == 5 && fields.iter().zip(&wanted).all(is_fit);
        fields.into_iter().next_back().filter(|_| fits)
    })
}

/// Splits at colons; a backslash quotes one, or itself.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            '\\' => field.extend(characters.next()),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> Result<SslMode, String> {
        let address = Address::parse(url).map_err(|error| error.to_string())?;
        Ok(address.config.get_ssl_mode())
    }

    #[test]
    fn tls_is_required_but_for_sockets_and_an_explicit_loopback() {
        for url in [
            "postgres://re6st:secret@127.0.0.1/re6st",
            "postgres://re6st:secret@db.example.com/re6st?sslmode=prefer",
            "postgres://re6st@db.example.com/re6st?sslmode=verify-full&connect_timeout=3",
            "postgres://re6st@localhost",
        ] {
            assert_eq!(mode(url), Ok(SslMode::Require), "{url}");
        }
        for url in [
            "postgres://re6st@%2Frun%2Fpostgresql/re6st",
            "postgres:///re6st?host=/run/postgresql&user=re6st",
            "postgres://re6st@127.0.0.1/re6st?sslmode=disable",
            "postgres://re6st@[::1]:5433/re6st?sslmode=disable",
        ] {
            assert_eq!(mode(url), Ok(SslMode::Disable), "{url}");
        }
        for url in [
            "postgres://re6st@db.example.com/re6st?sslmode=disable",
            "postgres://re6st@localhost,db.example.com/re6st?sslmode=disable",
            "postgres://re6st@localhost/re6st?sslmode=disable&hostaddr=192.0.2.1",
            "postgres://re6st@localhost/re6st?sslmode=allow",
        ] {
            assert!(mode(url).is_err(), "{url}");
        }
        let address = Address::parse("postgres://u@h/d?sslrootcert=%2Fetc%2Fca.pem").unwrap();
        assert_eq!(address.root_certificates.as_deref(), Some(Path::new("/etc/ca.pem")));
    }

    #[test]
    fn password_file_is_read_as_libpq_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        let lines =
            "# passwords\nother:*:*:*:no\ndb.example.com:5432:re6st:*:s3\\:cr:et\n*:*:*:*:last\n";
        fs::write(&path, lines).unwrap();
        let password = |url: &str| password_in(&path, &Address::parse(url).unwrap().config);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(password("postgres://u@db.example.com/re6st"), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(password("postgres://u@db.example.com/re6st").as_deref(), Some("s3:cr:et"));
        assert_eq!(password("postgres://u@db.example.com:1/re6st").as_deref(), Some("last"));
    }
}
