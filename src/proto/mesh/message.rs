//! What nodes say to each other in a session: one octet of code, then text or nothing.

use crate::proto::prefix::Prefix;

/// Set in the code of a registry's question that its own node passes on, and in the answer.
const FORWARDED: u8 = 0x80;

/// A message, as its receiver sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// What it is about.
    pub code: Code,
    /// Asked by the registry through its node; the answer goes back the same way.
    pub forwarded: bool,
    /// What follows the code.
    pub body: &'a [u8],
}

/// What a message is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// The network version.
    Version,
    /// Empty: where are you reached? Else the answer.
    Addresses,
    /// The tunnel between us should end.
    Retire,
    /// The tunnel between us may end: no route uses it here.
    Retired,
    /// Software and platform.
    About,
    /// Names of the peers we have tunnels with; for the registry.
    Topology,
    /// Text for the log of the registry's node.
    Log,
    /// Empty: which is your signed revocation list? Else the list. Upstream re6stnet ignores it.
    Crl,
    /// From the registry to its own node: hand the present version to every node that is routed; the
    /// answer tells how many have it. Upstream re6stnet ignores it.
    HandOut,
    /// What newer peers may say.
    Other(u8),
}

impl Code {
    const fn from_octet(octet: u8) -> Self {
        match octet {
            0 => Self::Version,
            1 => Self::Addresses,
            2 => Self::Retire,
            3 => Self::Retired,
            4 => Self::About,
            5 => Self::Topology,
            7 => Self::Log,
            64 => Self::Crl,
            65 => Self::HandOut,
            other => Self::Other(other),
        }
    }

    /// Whether registries ask it: what else nodes say to each other, nobody may have said in a node's name.
    pub const fn is_asked_by_registry(self) -> bool {
        matches!(self, Self::Version | Self::Addresses | Self::About | Self::Topology)
    }

    /// Whether only the registry's own node is asked it.
    pub const fn is_for_own_node(self) -> bool {
        matches!(self, Self::Crl | Self::HandOut)
    }

    const fn octet(self) -> u8 {
        match self {
            Self::Version => 0,
            Self::Addresses => 1,
            Self::Retire => 2,
            Self::Retired => 3,
            Self::About => 4,
            Self::Topology => 5,
            Self::Log => 7,
            Self::Crl => 64,
            Self::HandOut => 65,
            Self::Other(other) => other,
        }
    }
}

impl<'a> Message<'a> {
    /// Reads a message; `None` if it is empty, which only acknowledges.
    pub const fn parse(octets: &'a [u8]) -> Option<Self> {
        let Some((&first, body)) = octets.split_first() else { return None };
        let code = Code::from_octet(first & !FORWARDED);
        Some(Self { code, forwarded: first & FORWARDED != 0, body })
    }

    /// A message of our own.
    pub const fn new(code: Code, body: &'a [u8]) -> Self {
        Self { code, forwarded: false, body }
    }

    /// The answer to it, which goes the same way.
    pub const fn answer<'b>(&self, body: &'b [u8]) -> Message<'b> {
        Message { code: self.code, forwarded: self.forwarded, body }
    }

    /// What travels.
    pub fn to_octets(&self) -> Vec<u8> {
        let flag = if self.forwarded { FORWARDED } else { 0 };
        let mut octets = Vec::with_capacity(1 + self.body.len());
        octets.push(self.code.octet() | flag);
        octets.extend_from_slice(self.body);
        octets
    }
}

/// Between a registry and its own node on the loopback interface: whom it is about, then a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errand<'a> {
    /// The node that is asked, or that answers.
    pub prefix: Prefix,
    /// The message.
    pub message: Message<'a>,
}

impl<'a> Errand<'a> {
    /// Reads `<prefix as zeros and ones> 00 <message>`; `None` if it is anything else.
    pub fn parse(octets: &'a [u8]) -> Option<Self> {
        let end = octets.iter().position(|&octet| octet == 0)?;
        let bits = std::str::from_utf8(&octets[..end]).ok()?;
        let prefix = Prefix::from_bits(bits).ok()?;
        Some(Self { prefix, message: Message::parse(&octets[end + 1..])? })
    }

    /// What travels.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut octets = self.prefix.to_bits().into_bytes();
        octets.push(0);
        octets.extend_from_slice(&self.message.to_octets());
        octets
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::mesh::vectors;

    #[test]
    fn a_registry_and_its_node_talk_as_in_a_stock_network() {
        let mut count = 0;
        for packet in vectors::packets().iter().filter(|p| p["kind"] == "local") {
            let octets = vectors::octets(&packet["hex"]);
            let errand = Errand::parse(&octets).unwrap();
            assert_eq!(errand.prefix.to_bits(), packet["prefix"].as_str().unwrap());
            assert_eq!(u64::from(errand.message.code.octet()), packet["code"].as_u64().unwrap());
            assert_eq!(errand.to_octets(), octets);
            count += 1;
        }
        assert_eq!(count, 3);
    }

    #[test]
    fn an_answer_keeps_the_mark_of_the_question() {
        let question = Message::parse(&[0x84]).unwrap();
        assert_eq!((question.code, question.forwarded), (Code::About, true));
        assert_eq!(question.answer(b"1").to_octets(), [0x84, b'1']);
        assert_eq!(Message::parse(&[]), None);
    }

    #[test]
    fn every_truncation_of_an_errand_is_refused() {
        let whole = b"0101\x00\x04";
        for length in 0..whole.len() {
            assert_eq!(Errand::parse(&whole[..length]), None, "{length} octets");
        }
        assert!(Errand::parse(whole).is_some());
    }

    proptest! {
        #[test]
        fn any_octets_are_read_back(octets in prop::collection::vec(any::<u8>(), 1..20)) {
            prop_assert_eq!(Message::parse(&octets).unwrap().to_octets(), octets.clone());
            let _ = Errand::parse(&octets);
        }
    }
}
