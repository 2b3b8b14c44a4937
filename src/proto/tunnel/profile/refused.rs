//! Options without which a tunnel would not work, or be less safe than its file wants it: they are errors.

/// Compression, user names and the like: why they are not spoken.
const COMPRESSION: &str = "compression leaks what is encrypted; take it out at both ends";
const PASSWORDS: &str =
    "clients are known by their certificates, not by passwords: ask for a server without them";
const ADMISSION: &str = "everybody with a certificate is let in; use crl-verify, or take it out";
const NOT_SPOKEN: &[(&str, &str)] = &[
    ("comp-lzo", COMPRESSION),
    ("compress", COMPRESSION),
    ("auth-user-pass", PASSWORDS),
    ("auth-user-pass-verify", PASSWORDS),
    ("management-client-auth", PASSWORDS),
    ("plugin", ADMISSION),
    ("client-connect", ADMISSION),
    ("ccd-exclusive", ADMISSION),
    ("client-config-dir", ADMISSION),
    ("tls-crypt-v2-verify", ADMISSION),
    ("tls-remote", "use verify-x509-name"),
    ("peer-fingerprint", "name the authority's certificate with ca, and the peer's name"),
    ("verify-hash", "name that authority alone with ca"),
    ("remote-cert-eku", "use remote-cert-tls server or client"),
    ("remote-cert-ku", "use remote-cert-tls server or client"),
    ("x509-username-field", "names are common names"),
    ("secret", "tunnels are negotiated by TLS"),
    ("fragment", "it is for tunnels between two fixed ends; use tun-mtu or mssfix"),
    ("pkcs12", "name ca, cert and key"),
    ("pkcs11-id", "keys are files"),
    ("capath", "name one file of certificates with ca"),
    ("tls-verify", "no scripts are run; use verify-x509-name"),
    ("http-proxy", "connections are made directly"),
    ("socks-proxy", "connections are made directly"),
    ("port-share", "the port is for tunnels alone"),
];

/// Why an option is not obeyed, if it may not be passed over.
pub(super) fn why(name: &str) -> Option<&'static str> {
    NOT_SPOKEN.iter().find(|&&(other, _)| other == name).map(|&(_, why)| why)
}

#[cfg(test)]
mod tests {
    use crate::proto::tunnel::ovpn::parse;
    use crate::proto::tunnel::profile::{Profile, ProfileError};

    fn read(file: &str) -> Result<Profile, ProfileError> {
        Profile::read(&parse(file.as_bytes()).unwrap())
    }

    #[test]
    fn what_would_let_in_more_than_the_file_wants_is_refused() {
        for line in [
            "auth-user-pass-verify check.sh via-env",
            "management-client-auth",
            "plugin auth-pam.so login",
            "client-connect check.sh",
            "ccd-exclusive",
            "client-config-dir clients",
            "tls-crypt-v2-verify check.sh",
            "tls-remote server",
            "peer-fingerprint aa:bb",
            "verify-hash aa:bb",
            "remote-cert-eku 1.2.3",
            "remote-cert-ku a0",
            "x509-username-field ext:subjectAltName",
            "tls-version-min 1.3",
        ] {
            assert!(matches!(read(line), Err(ProfileError::NotSpoken(1, ..))), "{line}");
        }
        assert!(read("tls-version-min 1.2").is_ok());
    }
}
