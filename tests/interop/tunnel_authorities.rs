//! Certificates that are not signed by an authority itself, and several authorities at once, with Debian's
//! OpenVPN at the other end.

use std::fs;

use crate::interop::tunnel_lab::{
    KINDS, Lab, PATIENCE, authority_called, certificate, events, expect_event,
};
use crate::interop::tunnel_revocation::Authority;
use crate::namespace::{Process, RE6ST, eventually, run};

impl Lab {
    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    fn write(&self, name: &str, parts: &[&str]) {
        let text: String = parts.iter().map(|part| self.text(part)).collect();
        fs::write(self.file(name), text).unwrap();
    }

    /// A lab where `root.crt` signed what signed everyone's certificate; `other` is another authority's.
    fn with_an_authority_between() -> Self {
        let lab = Self::new();
        let f = |name: &str| lab.file(name);
        fs::rename(f("ca.crt"), f("root.crt")).unwrap();
        fs::rename(f("ca.key"), f("root.key")).unwrap();
        let words = "req -new -newkey rsa:2048 -nodes -subj /CN=between -keyout";
        let words: Vec<&str> = words.split(' ').collect();
        run("openssl", &[&words[..], &[&f("ca.key"), "-out", &f("ca.csr")]].concat());
        fs::write(f("ca.ext"), "basicConstraints=critical,CA:TRUE\n").unwrap();
        let words = ["x509", "-req", "-days", "1", "-set_serial", "77", "-extfile", &f("ca.ext")];
        let (root, key) = (f("root.crt"), f("root.key"));
        let files = ["-in", &f("ca.csr"), "-CA", &root, "-CAkey", &key, "-out", &f("ca.crt")];
        run("openssl", &[&words[..], &files].concat());
        for (name, common_name, serial) in [("server", "0/16", "1"), ("client", "1/16", "2")] {
            certificate(lab.folder.path(), name, common_name, serial);
        }
        fs::rename(f("ca.crt"), f("between.crt")).unwrap();
        fs::rename(f("ca.key"), f("between.key")).unwrap();
        let elsewhere = lab.folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        authority_called(&elsewhere, "elsewhere");
        certificate(&elsewhere, "other", "2/16", "3");
        for file in ["other.crt", "other.key"] {
            fs::rename(elsewhere.join(file), f(file)).unwrap();
        }
        lab.write("ca.crt", &["root.crt"]);
        lab
    }

    /// Everyone shows what lies between, in the file of its certificate.
    fn show_between(&self) {
        for name in ["server", "client"] {
            let file = format!("{name}.crt");
            self.write(&file, &[&file, "between.crt"]);
        }
    }
}

fn is_over(process: &mut Process) {
    eventually("an end", PATIENCE, || (!process.is_running()).then_some(()));
}

/// Both programs, both ways: the chain in the certificate's file, with only the root known.
#[test]
fn a_chain_in_the_file_of_a_certificate_is_shown_and_believed() {
    let lab = Lab::with_an_authority_between();
    lab.show_between();
    let server = lab.openvpn_server(KINDS[0], "");
    let mut connection = lab.connect(KINDS[0], "client", "--peer 0/16");
    expect_event(&connection, "up");
    lab.assert_both_ways("ovs", "re6st-tunnel");
    assert_eq!(connection.stop(), Some(0));
    drop(server);
    let mut listener = lab.listen(KINDS[0], "");
    let _client = lab.openvpn_client(KINDS[0], "");
    assert_eq!(expect_event(&listener, "up")["peer"], "1/16");
    lab.raise_openvpn_client();
    lab.assert_both_ways("re6st-1-16", "ovc");
    assert_eq!(listener.stop(), Some(0));
}

/// The chain beside the certificate: `extra-certs` at both programs, inside and outside of a file.
#[test]
fn a_chain_beside_a_certificate_is_shown_and_believed() {
    let lab = Lab::with_an_authority_between();
    let extra = format!("--extra-certs {}", lab.file("between.crt"));
    let server = lab.openvpn_server(KINDS[0], &extra);
    // Not shown, ours is not known there.
    let mut connection = lab.connect(KINDS[0], "client", "--handshake-timeout 5s");
    is_over(&mut connection);
    assert_eq!(connection.stop(), Some(1));
    fs::remove_file(&connection.log).unwrap();
    let inside = format!("<extra-certs>\n{}</extra-certs>\n", lab.text("between.crt"));
    fs::write(lab.file("extra.ovpn"), inside).unwrap();
    let words = format!("--config {}", lab.file("extra.ovpn"));
    let mut connection = lab.connect(KINDS[0], "client", &words);
    expect_event(&connection, "up");
    assert_eq!(connection.stop(), Some(0));
    drop(server);
    let mut listener = lab.listen(KINDS[0], &extra);
    let _client = lab.openvpn_client(KINDS[0], &extra);
    expect_event(&listener, "up");
    assert_eq!(listener.stop(), Some(0));
}

/// Each authority's list is for those that it issued: number 2 of one is not number 2 of another.
#[test]
fn the_lists_of_several_authorities_are_kept_apart() {
    let lab = Lab::with_an_authority_between();
    lab.show_between();
    let authority = Authority::new(&lab);
    let list_of = |signer: &str, revoked: &str| {
        fs::write(lab.file("index"), "").unwrap();
        authority.write_list_as(signer, revoked);
        lab.text("crl.pem")
    };
    // Of the client's number, but of the root, which issued no client.
    let of_root = list_of("root", "client");
    let none_between = list_of("between", "");
    let of_client = list_of("between", "client");
    let of_between = list_of("root", "between");
    let none_of_root = list_of("root", "");
    let revoked = "the peer's certificate was revoked by its authority";
    let above = "the peer's certificate is of an authority that was revoked";
    for (lists, wanted) in [
        ([&of_root, &none_between], None),
        ([&none_of_root, &of_client], Some(revoked)),
        ([&of_client, &none_of_root], Some(revoked)),
        ([&none_between, &of_between], Some(above)),
    ] {
        fs::write(lab.file("crl.pem"), lists.map(String::as_str).concat()).unwrap();
        let words = format!("--verbose --crl {}", lab.file("crl.pem"));
        let mut listener = lab.listen(KINDS[0], &words);
        let mut connection = lab.connect(KINDS[0], "client", "");
        match wanted {
            None => drop(expect_event(&connection, "up")),
            Some(reason) => {
                is_over(&mut connection);
                let printed = listener.printed();
                assert!(printed.contains(reason), "{printed}");
            }
        }
        connection.stop();
        listener.stop();
        fs::remove_file(&connection.log).unwrap();
        fs::remove_file(&listener.log).unwrap();
    }
}

/// A server's file that names its one client lets in nobody else; a client's names its server in any form.
#[test]
fn names_are_expected_at_both_ends_in_every_form() {
    let lab = Lab::new();
    fs::write(lab.file("one.ovpn"), "verify-x509-name 1/16 name\n").unwrap();
    let mut listener = lab.listen(KINDS[0], &format!("--config {}", lab.file("one.ovpn")));
    let mut other = lab.connect(KINDS[0], "other", "");
    is_over(&mut other);
    assert_eq!(other.stop(), Some(1));
    assert!(events(&listener, "up").is_empty());
    for (line, fits) in [
        ("'CN=0/16' subject", true),
        ("CN=0/16", true),
        ("0/ name-prefix", true),
        ("0/1", false),
        ("1/ name-prefix", false),
    ] {
        fs::write(lab.file("name.ovpn"), format!("verify-x509-name {line}\n")).unwrap();
        let config = format!("--config {}", lab.file("name.ovpn"));
        let mut connection = lab.connect(KINDS[0], "client", &config);
        let event = expect_event(&connection, if fits { "up" } else { "down" });
        assert!(fits || event["reason"].as_str().unwrap().contains("names"), "{event}");
        assert_eq!(connection.stop(), Some(if fits { 0 } else { 1 }), "{line}");
        fs::remove_file(&connection.log).unwrap();
    }
    assert_eq!(listener.stop(), Some(0));
}

/// A second authority that has nothing to do with the first: both ones' certificates are believed, and who
/// knows only one believes only its.
#[test]
fn every_authority_of_a_bundle_is_believed() {
    let lab = Lab::with_an_authority_between();
    lab.show_between();
    lab.write("bundle.crt", &["elsewhere/ca.crt", "root.crt"]);
    lab.write("ca.crt", &["bundle.crt"]);
    let mut listener = lab.listen(KINDS[0], "");
    let client = lab.openvpn_client(KINDS[0], "");
    let mut other = lab.connect(KINDS[0], "other", "");
    eventually("two tunnels", PATIENCE, || (events(&listener, "up").len() == 2).then_some(()));
    assert_eq!(other.stop(), Some(0));
    drop(client);
    assert_eq!(listener.stop(), Some(0));

    let server = lab.openvpn_server(KINDS[0], "");
    fs::remove_file(&other.log).unwrap();
    // Inline, as clients of a provider have it.
    let inside = format!("<ca>\n{}</ca>\n", lab.text("bundle.crt"));
    fs::write(lab.file("client.ovpn"), inside).unwrap();
    let path = |name: &str| lab.file(name);
    let (config, cert, key) = (path("client.ovpn"), path("other.crt"), path("other.key"));
    let words = "tunnel connect 10.9.0.1,1194,udp --json --config";
    let mut words: Vec<&str> = words.split(' ').collect();
    words.extend([&*config, "--cert", &cert, "--key", &key]);
    let mut inline = lab.right.spawn(lab.folder.path(), "inline", RE6ST, &words);
    expect_event(&inline, "up");
    lab.assert_both_ways("ovs", "re6st-tunnel");
    assert_eq!(inline.stop(), Some(0));

    lab.write("ca.crt", &["elsewhere/ca.crt"]);
    let mut narrow = lab.connect(KINDS[0], "other", "");
    let reason = expect_event(&narrow, "down")["reason"].clone();
    assert_eq!(reason, "the peer's certificate is of an authority that is not ours");
    assert_eq!(narrow.stop(), Some(1));
    drop(server);
}
