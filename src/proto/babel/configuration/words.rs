//! The words of one statement, and what they can stand for.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;
use std::vec;

use crate::proto::babel::configuration::problem::Fault;
use crate::proto::babel::router_id::RouterId;
use crate::proto::cidr::Cidr;

/// The words of a statement that are not read yet.
#[derive(Debug)]
pub struct Words {
    rest: vec::IntoIter<String>,
    /// The word read last: what a value belongs to.
    last: String,
}

impl Words {
    /// Splits a line at spaces; `#` ends it, quotes keep a word with spaces together.
    pub fn split(line: &str) -> Result<Self, Fault> {
        let mut words = Vec::new();
        let mut rest = line;
        loop {
            rest = rest.trim_start();
            let (word, after) = match rest.chars().next() {
                None | Some('#') => break,
                Some('"') => quoted(&rest[1..])?,
                Some(_) => {
                    let end = |c: char| c.is_whitespace() || c == '#';
                    let (word, after) = rest.split_at(rest.find(end).unwrap_or(rest.len()));
                    (word.to_owned(), after)
                }
            };
            words.push(word);
            rest = after;
        }
        Ok(Self { rest: words.into_iter(), last: String::new() })
    }

    /// The one value of a statement whose name is already read.
    pub fn after(statement: &str, value: &str) -> Self {
        Self { rest: vec![value.to_owned()].into_iter(), last: statement.to_owned() }
    }

    /// The next word, if there is one.
    pub fn next_word(&mut self) -> Option<String> {
        let word = self.rest.next()?;
        self.last.clone_from(&word);
        Some(word)
    }

    /// The value that follows the word read last.
    pub fn value<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Fault> {
        let of = self.last.clone();
        let Some(value) = self.rest.next() else {
            return Err(Fault::NoValue { of, expected });
        };
        read(&value).ok_or(Fault::Value { of, value, expected })
    }

    /// The text that follows the word read last.
    pub fn text(&mut self, expected: &'static str) -> Result<String, Fault> {
        self.value(expected, |text| Some(text.to_owned()))
    }

    /// Refuses what is left.
    pub fn end(mut self) -> Result<(), Fault> {
        let after = self.last.clone();
        self.rest.next().map_or(Ok(()), |word| Err(Fault::Trailing { word, after }))
    }
}

/// What precedes the closing quote, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), Fault> {
    let mut word = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((word, &text[at + 1..])),
            '\\' => word.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => word.push(character),
        }
    }
    Err(Fault::Quote)
}

/// A whole number: decimal, `0x` hexadecimal or, after a zero, octal.
pub fn number(text: &str, range: &RangeInclusive<u32>) -> Option<u32> {
    let value = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => unsigned(&text[2..], 16),
        [b'0', _, ..] => unsigned(&text[1..], 8),
        _ => unsigned(text, 10),
    };
    value.filter(|value| range.contains(value))
}

fn unsigned(text: &str, radix: u32) -> Option<u32> {
    // The standard library would take a sign.
    let digits = text.chars().all(|c| c.is_digit(radix));
    digits.then(|| u32::from_str_radix(text, radix).ok()).flatten()
}

/// A number that fits 16 bits.
pub fn number16(text: &str, range: RangeInclusive<u16>) -> Option<u16> {
    let range = u32::from(*range.start())..=u32::from(*range.end());
    number(text, &range).and_then(|value| value.try_into().ok())
}

/// A number that fits 8 bits.
pub fn number8(text: &str) -> Option<u8> {
    number(text, &(0..=255)).and_then(|value| value.try_into().ok())
}

/// Thousandths: `4` is 4000 and `.25` is 250; further digits are dropped.
pub fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: u32 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: u32 = format!("{fraction:0<3}")[..3].parse().ok()?;
    whole.checked_mul(1000)?.checked_add(fraction)
}

/// An interval that fits the centiseconds of Babel's packets.
pub fn interval(text: &str) -> Option<Duration> {
    let milliseconds = thousandths(text).filter(|ms| (1..=655_350).contains(ms))?;
    Some(Duration::from_millis(milliseconds.into()))
}

/// A round trip in milliseconds, with decimals.
pub fn round_trip(text: &str) -> Option<Duration> {
    let microseconds = thousandths(text).filter(|&us| us > 0)?;
    Some(Duration::from_micros(microseconds.into()))
}

/// `true` or `false`, as is `auto` where no kind of link decides.
pub fn boolean(text: &str) -> Option<bool> {
    choice(text).map(Option::unwrap_or_default)
}

/// `true`, `false`, or `auto` to let the kind of link decide.
pub fn choice(text: &str) -> Option<Option<bool>> {
    match text {
        "true" | "yes" => Some(Some(true)),
        "false" | "no" => Some(Some(false)),
        "auto" | "default" => Some(None),
        _ => None,
    }
}

/// A prefix; without a length it is the one address, and `default` is all of IPv6.
pub fn prefix(text: &str) -> Option<Cidr> {
    if text == "default" {
        return Some(Cidr::IPV6_DEFAULT);
    }
    if text.contains('/') {
        return text.parse().ok();
    }
    text.parse().ok().map(Cidr::host)
}

/// An address.
pub fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// A link-local multicast group.
pub fn group(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok().filter(Ipv6Addr::is_multicast)
}

/// A router-id: eight octets, or the six of a MAC address.
pub fn router_id(text: &str) -> Option<RouterId> {
    let octets: Option<Vec<u8>> = text
        .split([':', '-'])
        .map(|octet| {
            let digits = (1..=2).contains(&octet.len())
                && octet.bytes().all(|digit| digit.is_ascii_hexdigit());
            digits.then(|| u8::from_str_radix(octet, 16).ok()).flatten()
        })
        .collect();
    match octets?[..] {
        // As a modified EUI-64: the bit that says "universal" is inverted.
        [a, b, c, d, e, f] => RouterId::new([a ^ 2, b, c, 0xff, 0xfe, d, e, f]),
        [a, b, c, d, e, f, g, h] => RouterId::new([a, b, c, d, e, f, g, h]),
        _ => None,
    }
}

/// Pairs of hexadecimal digits.
pub fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<String> {
        Words::split(line).unwrap().rest.collect()
    }

    #[test]
    fn lines_are_split_as_babeld_splits_them() {
        assert_eq!(split("  in\tip ::/0#x y"), ["in", "ip", "::/0"]);
        assert_eq!(split(r#"state-file "a \"b\" c" # d"#), ["state-file", r#"a "b" c"#]);
        assert_eq!(split(r#""" x"#), ["", "x"]);
        assert_eq!(split(" # nothing"), [""; 0]);
        assert_eq!(split("debug 1\r"), ["debug", "1"]);
        assert_eq!(Words::split(r#"log-file "x"#).unwrap_err(), Fault::Quote);
        assert_eq!(Words::split(r#"log-file "x\"#).unwrap_err(), Fault::Quote);
    }

    #[test]
    fn numbers_are_read_in_their_base_and_range() {
        let any = 0..=u32::MAX;
        for (text, value) in [("0", 0), ("12", 12), ("0x1F", 31), ("010", 8), ("4294967295", !0)] {
            assert_eq!(number(text, &any), Some(value), "{text}");
        }
        for text in ["", "0x", "-1", "+1", "08", "1 ", "4294967296", "1e3", "0x+1"] {
            assert_eq!(number(text, &any), None, "{text}");
        }
        assert_eq!(number("5", &(6..=9)), None);
        assert_eq!(number16("65536", 0..=u16::MAX), None);
        assert_eq!(number8("256"), None);
    }

    #[test]
    fn intervals_have_thousandths() {
        assert_eq!(interval("4"), Some(Duration::from_secs(4)));
        assert_eq!(interval("0.25"), Some(Duration::from_millis(250)));
        assert_eq!(interval("0.0019"), Some(Duration::from_millis(1)));
        assert_eq!(interval("655.35"), Some(Duration::from_millis(655_350)));
        assert_eq!(interval(".5"), Some(Duration::from_millis(500)));
        assert_eq!(interval("5."), Some(Duration::from_secs(5)));
        for text in ["0", "", ".", "655.36", "-1", "1,5", "4s", "4294967", "0.0001"] {
            assert_eq!(interval(text), None, "{text}");
        }
        assert_eq!(round_trip("0.125"), Some(Duration::from_micros(125)));
    }

    #[test]
    fn router_ids_are_of_eight_octets_or_six() {
        let id = |text| router_id(text).map(|id| id.to_string());
        assert_eq!(id("02:aa:bb:ff:fe:cc:dd:01").unwrap(), "02:aa:bb:ff:fe:cc:dd:01");
        assert_eq!(id("00:aa:bb:cc:dd:1").unwrap(), "02:aa:bb:ff:fe:cc:dd:01");
        for text in ["", "0:0:0:0:0:0:0:0", "1:2:3", "g:1:1:1:1:1", "1:2:3:4:5:6:7", "+1:1:1:1:1:1"]
        {
            assert_eq!(id(text), None, "{text}");
        }
    }

    #[test]
    fn prefixes_may_lack_their_length() {
        assert_eq!(prefix("10.0.0.1").unwrap().to_string(), "10.0.0.1/32");
        assert_eq!(prefix("2001:db8::1").unwrap().to_string(), "2001:db8::1/128");
        assert_eq!(prefix("default"), Some(Cidr::IPV6_DEFAULT));
        assert_eq!(prefix("10.0.0.1/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(prefix("10.0.0.0/33"), None);
    }

    #[test]
    fn keys_are_pairs_of_digits() {
        assert_eq!(hexadecimal("00fF"), Some(vec![0, 255]));
        assert_eq!(hexadecimal("0"), None);
        assert_eq!(hexadecimal("0g"), None);
        assert_eq!(hexadecimal("é"), None);
    }
}
