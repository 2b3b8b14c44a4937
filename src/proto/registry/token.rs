//! Tokens: letters by mail that are worth one certificate.

use crate::proto::random::Random;

/// Letters of a token that the registry draws: 84 bits.
const LETTERS: usize = 18;

/// Characters of a token that an administrator chooses; a longer one is refused.
const CHARACTERS_MAX: usize = 128;

/// Characters of an address; a longer one is refused (RFC 5321 §4.5.3.1.3).
const ADDRESS_CHARACTERS_MAX: usize = 254;

/// A token that nobody can guess.
pub fn draw(random: &mut Random) -> String {
    (0..LETTERS).map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz"[random.below(26)])).collect()
}

/// Whether an administrator may use `token`: an empty one would stand for no token at all.
pub fn is_usable(token: &str) -> bool {
    !token.is_empty()
        && token.len() <= CHARACTERS_MAX
        && token.chars().all(|c| c.is_ascii_graphic())
}

/// Whether `address` can stand in the header of a mail and names somebody.
pub fn is_address(address: &str) -> bool {
    // What separates addresses, or ends one, in a header or a command needs quotes; nobody's address does.
    let written = !address
        .contains(|c: char| c.is_control() || c.is_whitespace() || "<>(),;:\\\"".contains(c));
    let parts = address.split_once('@').filter(|(_, host)| !host.contains('@'));
    written
        && address.len() <= ADDRESS_CHARACTERS_MAX
        && parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
}

/// The mail that brings `token` to `to`, with its headers; lines end as RFC 5322 §2.1 wants.
pub fn mail(from: Option<&str>, to: &str, token: &str) -> String {
    let from = from.map_or(String::new(), |from| format!("From: {from}\r\n"));
    format!(
        "Content-Type: text/plain; charset=\"us-ascii\"\r\n\
         MIME-Version: 1.0\r\n\
         Content-Transfer-Encoding: 7bit\r\n\
         Subject: [re6stnet] Token Request\r\n\
         {from}To: {to}\r\n\
         \r\n\
         Hello, your token to join re6st network is: {token}\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_tokens_have_80_bits_in_lowercase_letters() {
        let mut random = Random::from_number(1);
        let (one, other) = (draw(&mut random), draw(&mut random));
        assert_ne!(one, other);
        assert!(
            26_f64.powi(one.len() as i32).log2() >= 80.0
                && one.bytes().all(|letter| letter.is_ascii_lowercase())
        );
    }

    #[test]
    fn an_address_cannot_add_a_header() {
        assert!(is_address("admin@example.com"));
        for address in [
            "",
            "@",
            "a@",
            "@b",
            "a",
            "a@b\r\nBcc: c@d",
            "a@b c",
            "a@b\0",
            "a@b>",
            "a@b,c@d",
            "a,b@c",
            "<a@b>",
            "a@b@c",
            "\"a\"@b",
        ] {
            assert!(!is_address(address), "{address:?}");
        }
        assert!(!is_address(&format!("{}@b", "a".repeat(300))));
    }

    #[test]
    fn an_empty_token_is_none() {
        assert!(is_usable("abcdefgh"));
        assert!(!is_usable("") && !is_usable("a b") && !is_usable(&"a".repeat(129)));
    }
}
