//! Invitations: one line with all that joining a network needs.
//!
//! ```text
//! re6st[+https]://HOST[:PORT][/PATH]#fingerprint=sha256:DIGITS,token=TOKEN,expires=2026-11-30T12:00:00Z
//! ```
//!
//! Not with ? and & as in a query: who pastes it into a shell need not know that these want quotes.

use std::fmt;
use std::str::FromStr;

use form_urlencoded::byte_serialize;

use crate::proto::certificate::Fingerprint;
use crate::proto::registry::token;
use crate::proto::registry::url::RegistryUrl;

/// What an operator hands to somebody who shall join.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invitation {
    /// Where the registry is.
    pub registry: RegistryUrl,
    /// Its network's authority.
    pub fingerprint: Fingerprint,
    /// What is worth a certificate.
    pub token: String,
    /// Until when, for people; the registry itself keeps the time.
    pub expires: String,
}

/// Why a text is no invitation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvitationError {
    /// Another scheme, or nothing after the address.
    #[error("an invitation begins with re6st:// and is copied whole, on one line")]
    Form,
    /// No registry's address.
    #[error("the invitation names no registry")]
    Registry,
    /// No fingerprint, or one that cannot be.
    #[error("the invitation has no fingerprint of the network's authority")]
    Fingerprint,
    /// No token.
    #[error("the invitation has no token")]
    Token,
    /// An end that is no date.
    #[error("the invitation does not say when it ends: copy it whole")]
    Expiry,
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fingerprint, expires, .. } = self;
        let token: String = byte_serialize(self.token.as_bytes()).collect();
        let registry = self.registry.to_string();
        let (scheme, place) = match registry.strip_prefix("https://") {
            Some(place) => ("re6st+https", place),
            None => ("re6st", registry.trim_start_matches("http://")),
        };
        let place = place.trim_end_matches('/');
        write!(f, "{scheme}://{place}#fingerprint={fingerprint},token={token},expires={expires}")
    }
}

impl FromStr for Invitation {
    type Err = InvitationError;

    fn from_str(text: &str) -> Result<Self, InvitationError> {
        let text = text.trim();
        let (scheme, rest) = match text.strip_prefix("re6st+https://") {
            Some(rest) => ("https", rest),
            None => ("http", text.strip_prefix("re6st://").ok_or(InvitationError::Form)?),
        };
        let (place, words) = rest.split_once('#').ok_or(InvitationError::Form)?;
        let registry =
            format!("{scheme}://{place}").parse().map_err(|_| InvitationError::Registry)?;
        let value = |name: &str| {
            let mut pairs =
                words.split(',').flat_map(|word| form_urlencoded::parse(word.as_bytes()));
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let fingerprint = value("fingerprint").and_then(|text| text.parse().ok());
        let token = value("token").filter(|text| token::is_usable(text));
        // A date: nothing that would have to be written otherwise than it is read.
        let expires = value("expires").unwrap_or_default();
        if !expires.chars().all(|c| c.is_ascii_alphanumeric() || "-:.".contains(c)) {
            return Err(InvitationError::Expiry);
        }
        Ok(Self {
            registry,
            fingerprint: fingerprint.ok_or(InvitationError::Fingerprint)?,
            token: token.ok_or(InvitationError::Token)?,
            expires,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn invitation() -> Invitation {
        Invitation {
            registry: "http://[2001:db8::7]:8080/re6st/".parse().unwrap(),
            fingerprint: format!("sha256:{}", "0a".repeat(32)).parse().unwrap(),
            token: "a&b=c,d%+".into(),
            expires: "2026-11-30T12:00:00Z".into(),
        }
    }

    #[test]
    fn an_invitation_is_read_back() {
        let text = invitation().to_string();
        assert!(text.starts_with("re6st://[2001:db8::7]:8080/re6st#fingerprint=sha256:0a0a"));
        let special = |c: char| c.is_whitespace() || "?*&;|<>()$`\\\"'!{}~^".contains(c);
        assert!(!text.contains(special), "no shell takes it apart: {text}");
        assert_eq!(text.parse(), Ok(invitation()));
        assert_eq!(format!(" {text}\n").parse(), Ok(invitation()));
        let mut over_tls = invitation();
        over_tls.registry = "https://[2001:db8::7]/".parse().unwrap();
        let text = over_tls.to_string();
        assert!(text.starts_with("re6st+https://[2001:db8::7]#"), "{text}");
        assert_eq!(text.parse(), Ok(over_tls));
    }

    #[test]
    fn what_is_no_invitation_says_why() {
        let error = |text: &str| text.parse::<Invitation>().unwrap_err();
        let digits = "0a".repeat(32);
        assert_eq!(error("http://host/"), InvitationError::Form);
        assert_eq!(error("re6st://host"), InvitationError::Form);
        assert_eq!(error("re6st://#token=a"), InvitationError::Registry);
        assert_eq!(error("re6st://host#token=a"), InvitationError::Fingerprint);
        assert_eq!(
            error("re6st://host#fingerprint=sha256:00,token=a"),
            InvitationError::Fingerprint
        );
        assert_eq!(
            error(&format!("re6st://host#fingerprint=sha256:{digits}")),
            InvitationError::Token
        );
        assert_eq!(
            error(&format!("re6st://host#fingerprint=sha256:{digits},token=a,expires=2026%0Ax")),
            InvitationError::Expiry
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(re6st://)?\\PC{0,40}#?(token=|fingerprint=|,|\\PC){0,9}") {
            let _ = text.parse::<Invitation>();
        }
    }
}
