//! Who may see the pages, and whose forms are believed: tickets that a key of the authority's vouches for.
//!
//! ```text
//!  re6st registry login ──ticket to log in, minutes──▶ browser ──▶ cookie, hours
//!  a form carries a MAC over its visitor's cookie: who cannot read the page cannot forge the form
//! ```
//!
//! A ticket vouches for itself, at any registry of the network. Those that ended before their time are stored:
//! a login ticket is exchanged once, a session ends when its user logs out.

use std::fmt;
use std::time::Duration;

use ring::hmac;

use crate::proto::certificate::{CertificateError, PrivateKey};
use crate::proto::random::Random;
use crate::proto::time::UnixTime;

/// What a ticket is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To be exchanged for a cookie.
    Login,
    /// To see the pages.
    Session,
    /// To bind forms to a visitor who may see the pages for another reason.
    Visit,
}

impl Purpose {
    const fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Session => "session",
            Self::Visit => "visit",
        }
    }

    /// How long such a ticket is good.
    pub const fn lasts(self) -> Duration {
        match self {
            Self::Login => Duration::from_secs(600),
            Self::Session | Self::Visit => Duration::from_secs(12 * 3_600),
        }
    }
}

/// What identifies a ticket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// Hexadecimal digits, of that ticket only.
    pub nonce: String,
    /// When it expires, in seconds since 1970.
    pub expiry: u64,
}

impl Ticket {
    /// The start of the nonce, for the log.
    pub fn name(&self) -> String {
        self.nonce.chars().take(8).collect()
    }
}

/// The key that vouches; who has the authority's key has it, too.
pub struct Gate(hmac::Key);

/// Never shows the key.
impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl Gate {
    /// The gate of the network with that authority.
    pub fn new(authority: &PrivateKey) -> Result<Self, CertificateError> {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &authority.to_pem()?);
        let derived = hmac::sign(&secret, b"re6st registry: the key of its pages");
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())))
    }

    /// A new ticket: `purpose.expiry.nonce.mac`.
    pub fn ticket(&self, purpose: Purpose, now: UnixTime, random: &mut Random) -> String {
        let expiry = (now + purpose.lasts()).as_secs();
        let nonce = hex(&random.octets::<16>());
        let text = format!("{}.{expiry}.{nonce}", purpose.word());
        let mac = hex(hmac::sign(&self.0, text.as_bytes()).as_ref());
        format!("{text}.{mac}")
    }

    /// Reads a ticket of ours, for that purpose and not expired.
    pub fn verify(&self, ticket: &str, purpose: Purpose, now: UnixTime) -> Option<Ticket> {
        let (text, mac) = ticket.rsplit_once('.')?;
        let mut words = text.split('.');
        let is_for = words.next() == Some(purpose.word());
        let expiry = words.next().and_then(|expiry| expiry.parse::<u64>().ok())?;
        let nonce = words.next()?.to_owned();
        let is_good = is_for && now.as_secs() < expiry && self.vouches(text, mac);
        is_good.then_some(Ticket { nonce, expiry })
    }

    /// What the forms of the visitor with that ticket carry.
    pub fn form(&self, ticket: &str) -> String {
        hex(hmac::sign(&self.0, format!("form of {ticket}").as_bytes()).as_ref())
    }

    /// Whether a form is of the visitor with that ticket. Takes as long whatever is wrong.
    pub fn accepts_form(&self, ticket: &str, form: &str) -> bool {
        self.vouches(&format!("form of {ticket}"), form)
    }

    fn vouches(&self, text: &str, mac: &str) -> bool {
        let octets = mac.as_bytes().chunks(2).map(|pair| {
            let digits = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        let Some(octets) = octets.collect::<Option<Vec<u8>>>() else { return false };
        hmac::verify(&self.0, text.as_bytes(), &octets).is_ok()
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_for_one_purpose_one_network_and_some_time() {
        let gate = Gate::new(&PrivateKey::generate(2_048).unwrap()).unwrap();
        let other = Gate::new(&PrivateKey::generate(2_048).unwrap()).unwrap();
        let now = UnixTime::from_secs(1_000);
        let ticket = gate.ticket(Purpose::Login, now, &mut Random::from_number(1));
        assert!(gate.verify(&ticket, Purpose::Login, now).is_some());
        assert!(gate.verify(&ticket, Purpose::Session, now).is_none());
        assert!(other.verify(&ticket, Purpose::Login, now).is_none());
        assert!(gate.verify(&ticket, Purpose::Login, UnixTime::from_secs(1_600)).is_none());
        for changed in [
            ticket.replace("login", "session"),
            ticket.replace(".1600.", ".9600."),
            ticket[..ticket.len() - 1].to_owned(),
            String::new(),
            "login.9999999999.aa.zz".into(),
            "login.9999999999.aa.\u{e9}".into(),
        ] {
            assert!(gate.verify(&changed, Purpose::Login, now).is_none(), "{changed}");
            assert!(gate.verify(&changed, Purpose::Session, now).is_none(), "{changed}");
        }
        let form = gate.form(&ticket);
        assert!(gate.accepts_form(&ticket, &form) && !gate.accepts_form("other", &form));
        assert!(!gate.accepts_form(&ticket, ""));
    }
}
