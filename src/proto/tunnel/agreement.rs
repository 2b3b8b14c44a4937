//! What both ends must agree on before frames can pass, and what to say when they do not.
//!
//! OpenVPN only warns of most of these differences, and then no frame gets through.

use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::kind::Device;

/// What both ends want differently, so that no frame would get through.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Disagreement {
    /// The peer does not encrypt, and we do.
    #[error("the peer does not encrypt, and we accept only {}", names(.0))]
    PeerIsPlain(Vec<Cipher>),
    /// The peer encrypts, and we do not.
    #[error("the peer encrypts, and we do not")]
    PeerEncrypts,
    /// Both encrypt.
    #[error("both ends have no cipher in common: we accept {}", names(.0))]
    Cipher(Vec<Cipher>),
    /// Frames at one end, packets at the other.
    #[error("the peer's interface is a {}, ours a {}", device_name(*.0), device_name(other(*.0)))]
    Device(Device),
    /// The peer compresses, or frames as if it did.
    #[error("the peer wants compression ({0}), which is not spoken here")]
    Compression(String),
    /// Without encryption, frames are authenticated by HMAC-SHA1.
    #[error("the peer authenticates frames by {0}, we by SHA1")]
    Digest(String),
}

fn names(ciphers: &[Cipher]) -> String {
    ciphers.iter().map(|cipher| cipher.name()).collect::<Vec<_>>().join(", ")
}

/// OpenVPN's word for a device.
pub const fn device_name(device: Device) -> &'static str {
    match device {
        Device::Tap => "tap",
        Device::Tun => "tun",
    }
}

const fn other(device: Device) -> Device {
    match device {
        Device::Tap => Device::Tun,
        Device::Tun => Device::Tap,
    }
}

/// What of the peer's option string makes a tunnel impossible, whatever the cipher. What it does not
/// mention is as with us: newer peers leave out more and more.
pub fn disagreement(device: Device, options: &str) -> Option<Disagreement> {
    for option in options.split(',') {
        let mut words = option.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("dev-type"), Some(theirs)) if theirs == device_name(other(device)) => {
                return Some(Disagreement::Device(other(device)));
            }
            (Some("comp-lzo" | "compress"), _) => {
                return Some(Disagreement::Compression(option.to_owned()));
            }
            _ => {}
        }
    }
    None
}

/// Whether frames that are not encrypted are authenticated as ours are.
pub fn digest_disagreement(options: &str) -> Option<Disagreement> {
    let digest = options.split(',').find_map(|option| option.strip_prefix("auth "))?;
    let digest = digest.trim();
    (!digest.eq_ignore_ascii_case("SHA1") && !digest.eq_ignore_ascii_case("[null-digest]"))
        .then(|| Disagreement::Digest(digest.to_owned()))
}

/// Why there is no cipher, judged by ours and by the peer's option string. OpenVPN 2.6 leaves the
/// cipher out when it does not encrypt.
pub fn cipher_disagreement(ours: &[Cipher], options: &str) -> Disagreement {
    let named = options.split(',').find_map(|option| option.strip_prefix("cipher "));
    let is_plain = matches!(named, None | Some("[null-cipher]"));
    let we_are_plain = ours.iter().all(|&cipher| cipher == Cipher::None);
    match (is_plain, we_are_plain) {
        (true, false) => Disagreement::PeerIsPlain(ours.to_vec()),
        (false, true) => Disagreement::PeerEncrypts,
        _ => Disagreement::Cipher(ours.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_frames_from_passing_is_named() {
        let said = |options: &str| disagreement(Device::Tap, options).map(|d| d.to_string());
        assert_eq!(said("V4,dev-type tap,link-mtu 1,proto UDPv4,cipher BF-CBC,auth SHA1"), None);
        assert_eq!(said(""), None);
        assert_eq!(
            said("V4,dev-type tun").as_deref(),
            Some("the peer's interface is a tun, ours a tap")
        );
        assert_eq!(
            said("V4,dev-type tap,comp-lzo").as_deref(),
            Some("the peer wants compression (comp-lzo), which is not spoken here")
        );
        let digest = |options: &str| digest_disagreement(options).map(|d| d.to_string());
        assert_eq!(digest("V4,auth SHA1"), None);
        assert_eq!(
            digest("V4,auth SHA256").as_deref(),
            Some("the peer authenticates frames by SHA256, we by SHA1")
        );
    }

    #[test]
    fn the_lack_of_a_cipher_says_whose_fault_it_is() {
        let ours = [Cipher::Aes256Gcm];
        let plain = Disagreement::PeerIsPlain(ours.to_vec());
        assert_eq!(cipher_disagreement(&ours, "V4,cipher [null-cipher]"), plain);
        assert_eq!(cipher_disagreement(&ours, "V4,auth SHA1"), plain);
        let other = Disagreement::Cipher(ours.to_vec());
        assert_eq!(cipher_disagreement(&ours, "V4,cipher BF-CBC"), other);
        let encrypts = Disagreement::PeerEncrypts;
        assert_eq!(cipher_disagreement(&[Cipher::None], "V4,cipher BF-CBC"), encrypts);
    }
}
