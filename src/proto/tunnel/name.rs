//! What a peer's certificate must be called: OpenVPN's `verify-x509-name`.

use std::fmt;

use openssl::x509::{X509NameEntryRef, X509Ref};

/// The name that a peer's certificate must have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ExpectedName {
    /// Its common name.
    Common(String),
    /// What its common name begins with.
    Beginning(String),
    /// Its whole subject: `C=NL, O=an organization, CN=a name`.
    Subject(String),
}

impl ExpectedName {
    /// Whether a certificate has it; if not, what it has instead.
    pub fn check(&self, certificate: &X509Ref) -> Result<(), String> {
        let found = match self {
            Self::Common(_) | Self::Beginning(_) => common_name(certificate),
            Self::Subject(_) => subject(certificate),
        };
        let fits = match self {
            Self::Common(wanted) | Self::Subject(wanted) => found == *wanted,
            Self::Beginning(wanted) => found.starts_with(wanted.as_str()),
        };
        if fits { Ok(()) } else { Err(found) }
    }
}

impl From<&str> for ExpectedName {
    fn from(common_name: &str) -> Self {
        Self::Common(common_name.to_owned())
    }
}

impl fmt::Display for ExpectedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Common(name) | Self::Subject(name) => f.write_str(name),
            Self::Beginning(name) => write!(f, "{name}…"),
        }
    }
}

/// Empty if there is none that is text.
fn common_name(certificate: &X509Ref) -> String {
    let mut found = certificate.subject_name().entries_by_nid(openssl::nid::Nid::COMMONNAME);
    found.next().and_then(text).unwrap_or_default()
}

/// As OpenVPN writes it since 2.3.
fn subject(certificate: &X509Ref) -> String {
    let entry = |entry: &X509NameEntryRef| {
        let kind = entry.object();
        let name = kind.nid().short_name().map_or_else(|_| kind.to_string(), str::to_owned);
        format!("{name}={}", text(entry).unwrap_or_default())
    };
    let entries: Vec<String> = certificate.subject_name().entries().map(entry).collect();
    entries.join(", ")
}

/// Without control characters, which might pretend something to people.
fn text(entry: &X509NameEntryRef) -> Option<String> {
    let text = entry.data().to_string().ok()?;
    let letter =
        |c: char| if c.is_control() { format!("\\{:02X}", u32::from(c)) } else { c.into() };
    Some(text.chars().map(letter).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::tunnel::pki::{Authority, Validity};

    #[test]
    fn every_form_of_a_name_is_compared_as_a_whole_or_from_its_beginning() {
        let ca = Authority::new(Validity::Now);
        let own = ca.issue_to(&[("C", "NL"), ("O", "One, Two"), ("CN", "vpn-7")], 7);
        let check = |name: ExpectedName| name.check(own.certificate());
        let common = |name: &str| check(name.into());
        assert_eq!(common("vpn-7"), Ok(()));
        for wrong in ["vpn-", "vpn-77", "VPN-7", "", "C=NL, O=One, Two, CN=vpn-7"] {
            assert_eq!(common(wrong), Err("vpn-7".to_owned()), "{wrong}");
        }
        let beginning = |name: &str| check(ExpectedName::Beginning(name.to_owned()));
        assert_eq!([beginning("vpn-"), beginning("vpn-7")], [Ok(()), Ok(())]);
        assert_eq!(beginning("pn-"), Err("vpn-7".to_owned()));
        let subject = |name: &str| check(ExpectedName::Subject(name.to_owned()));
        let whole = "C=NL, O=One, Two, CN=vpn-7";
        assert_eq!(subject(whole), Ok(()));
        for wrong in ["CN=vpn-7", "vpn-7", "O=One, Two, C=NL, CN=vpn-7"] {
            assert_eq!(subject(wrong), Err(whole.to_owned()), "{wrong}");
        }
        let own = ca.issue_to(&[("CN", "a\nb")], 8);
        let found = ExpectedName::from("x").check(own.certificate());
        assert_eq!(found, Err("a\\0Ab".to_owned()));
    }
}
