//! Certificates that their authority takes back while tunnels are up.

use std::fs;

use crate::interop::tunnel_lab::{KINDS, Lab, PATIENCE, events, expect_event};
use crate::namespace::{eventually, run};

/// A list that changes is read again: who is on it is out, whoever it is, and nobody else.
#[test]
fn a_list_of_revoked_certificates_counts_as_soon_as_it_changes() {
    let lab = Lab::new();
    let authority = Authority::new(&lab);
    authority.write_list("");
    let words = format!("--crl {}", lab.file("crl.pem"));
    let mut listener = lab.listen(KINDS[0], &words);
    let openvpn = lab.openvpn_client(KINDS[0], "");
    lab.raise_openvpn_client();
    let mut other = lab.connect(KINDS[0], "other", "");
    eventually("two tunnels", PATIENCE, || (events(&listener, "up").len() == 2).then_some(()));
    // Number 2 is the certificate of the OpenVPN client.
    authority.write_list("client");
    let down = expect_event(&listener, "down");
    assert_eq!(down["interface"], "re6st-1-16");
    assert_eq!(down["reason"], "the peer's certificate was revoked by its authority");
    expect_event(&other, "rekeyed");
    assert!(events(&other, "down").is_empty(), "{}", other.printed());
    drop(openvpn);

    // The same at the other end: the server is revoked.
    let words = format!("--crl {}", lab.file("crl.pem"));
    let mut connection = lab.connect(KINDS[0], "other", &format!("--interface late {words}"));
    eventually("a third tunnel", PATIENCE, || (events(&listener, "up").len() == 3).then_some(()));
    authority.write_list("server");
    let revoked = "the peer's certificate was revoked by its authority";
    eventually(revoked, PATIENCE, || {
        events(&connection, "down").iter().any(|down| down["reason"] == revoked).then_some(())
    });
    assert_eq!(connection.stop(), Some(1));
    other.stop();
    assert_eq!(listener.stop(), Some(0));
}

/// `openssl ca` with its folder.
pub(super) struct Authority<'a>(&'a Lab);

impl<'a> Authority<'a> {
    pub(super) fn new(lab: &'a Lab) -> Self {
        let settings = format!(
            "[ca]\ndefault_ca=it\n[it]\ndatabase={}\ndefault_md=sha256\ndefault_crl_days=1\n",
            lab.file("index")
        );
        fs::write(lab.file("ca.cnf"), settings).unwrap();
        fs::write(lab.file("index"), "").unwrap();
        Self(lab)
    }

    /// Revokes one more, and makes a list of all.
    pub(super) fn write_list(&self, revoked: &str) {
        self.write_list_as("ca", revoked);
    }

    /// The same with the key of another.
    pub(super) fn write_list_as(&self, signer: &str, revoked: &str) {
        let file = |name: &str| self.0.file(name);
        let (key, certificate) = (file(&format!("{signer}.key")), file(&format!("{signer}.crt")));
        let settings = file("ca.cnf");
        let words = ["ca", "-config", &settings, "-keyfile", &key, "-cert", &certificate];
        if !revoked.is_empty() {
            run("openssl", &[&words[..], &["-revoke", &file(&format!("{revoked}.crt"))]].concat());
        }
        run("openssl", &[&words[..], &["-gencrl", "-out", &file("new.pem")]].concat());
        fs::rename(file("new.pem"), file("crl.pem")).unwrap();
    }
}
