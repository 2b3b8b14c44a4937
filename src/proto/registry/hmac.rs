//! Changing Babel's key without a gap: three steps, each to be followed by all nodes before the next.
//!
//! ```text
//!  step   sign   accept
//!    –    old    –
//!    1    old    new      everybody learns the new key
//!    2    new    old      everybody begins to use it
//!    3    new    –        nobody uses the old one
//! ```

use std::fmt;

/// The keys as the database holds them, in three places; an empty key means packets without a MAC.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys(pub [Option<Vec<u8>>; 3]);

/// Where the network is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// No keys: packets have no MAC.
    Open,
    /// One key.
    Settled,
    /// The old key signs, the new one is accepted.
    Announced,
    /// The new key signs, the old one is accepted.
    Changed,
}

impl Step {
    /// Where the network is, and what comes next, in words.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Open => "packets have no MAC; the next step brings a key",
            Self::Settled => "one key is in use; the next step announces a new one",
            Self::Announced => {
                "a new key is accepted beside the old one; once all nodes know it, go on"
            }
            Self::Changed => {
                "the new key signs and the old one is still accepted; once all nodes follow, go on"
            }
        }
    }
}

impl Keys {
    /// Octets of a key.
    pub const OCTETS: usize = 16;

    /// Where the network is.
    pub const fn step(&self) -> Step {
        match &self.0 {
            [Some(_), None, _] => Step::Settled,
            [Some(_), Some(_), _] => Step::Announced,
            [None, Some(_), _] => Step::Changed,
            [None, None, _] => Step::Open,
        }
    }

    /// The one key of a new network.
    pub fn first(key: [u8; Self::OCTETS]) -> Self {
        Self([Some(key.to_vec()), None, None])
    }

    /// The key that signs, and the one that is accepted besides.
    pub fn in_use(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        ["babel_hmac_sign", "babel_hmac_accept"]
            .into_iter()
            .zip(self.0.iter().flatten().map(Vec::as_slice))
    }

    /// The next step; `new` is a fresh key for the steps that need one.
    #[must_use]
    pub fn next(&self, new: [u8; Self::OCTETS]) -> Self {
        let [first, second, _] = self.0.clone();
        let new = Some(new.to_vec());
        Self(match self.step() {
            // A network that had none begins by signing while packets without a MAC are accepted.
            Step::Open => [None, new, Some(Vec::new())],
            Step::Settled => [first, new, None],
            Step::Announced => [None, second, first],
            Step::Changed => [second, None, None],
        })
    }
}

/// Never shows a key.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({:?})", self.step())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_changed_in_three_steps() {
        let name = |key: &[u8]| key.first().map_or("none".into(), u8::to_string);
        let mut keys = Keys([Some(vec![1; 16]), None, None]);
        let mut table = String::new();
        for new in 2..6 {
            let used: Vec<String> =
                keys.in_use().map(|(use_, key)| format!("{} {}", &use_[11..], name(key))).collect();
            table += &format!("{:?}: {}\n", keys.step(), used.join(", "));
            keys = keys.next([new; 16]);
        }
        assert_eq!(
            table,
            "Settled: sign 1\n\
             Announced: sign 1, accept 2\n\
             Changed: sign 2, accept 1\n\
             Settled: sign 2\n"
        );
    }

    #[test]
    fn a_network_without_keys_gets_one() {
        let keys = Keys::default().next([7; 16]);
        let used: Vec<_> = keys.in_use().collect();
        assert_eq!(used, [("babel_hmac_sign", &[7; 16][..]), ("babel_hmac_accept", &[][..])]);
        let keys = keys.next([8; 16]);
        assert_eq!(keys.in_use().collect::<Vec<_>>(), [("babel_hmac_sign", &[7; 16][..])]);
    }
}
