//! What a router must remember over a restart: its identity and the number of its announcements.
//!
//! Neighbours remember both for minutes (RFC 8966 §3.5.1). A router that comes back under the same
//! identity with a lower number would be refused until it is asked for a higher one.

use crate::proto::babel::configuration::words;
use crate::proto::babel::router_id::RouterId;
use crate::proto::time::UnixTime;

/// What is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// Who it is.
    pub router_id: RouterId,
    /// The highest number it may have announced.
    pub seqno: u16,
}

impl State {
    /// Reads what babeld or [`to_text`](Self::to_text) wrote: `ROUTER-ID SEQNO TIME`, in one line.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let router_id = words::router_id(words.next()?)?;
        let seqno = words.next()?.parse().ok()?;
        let _written_at: u64 = words.next()?.parse().ok()?;
        words.next().is_none().then_some(Self { router_id, seqno })
    }

    /// As babeld writes it.
    pub fn to_text(&self, now: UnixTime) -> String {
        format!("{} {} {}\n", self.router_id, self.seqno, now.as_secs())
    }

    /// The number to begin with: higher than all that may have been announced.
    pub const fn next_seqno(&self) -> u16 {
        self.seqno.wrapping_add(1)
    }

    /// What is to be written down before `current` is announced, if `written` is not enough: some numbers
    /// ahead, so that whoever asks for new numbers does not keep the disk busy.
    pub fn ahead_of(current: Self, written: Option<Self>) -> Option<Self> {
        let covers = |written: Self| {
            let left = written.seqno.wrapping_sub(current.seqno);
            written.router_id == current.router_id && left <= Self::AHEAD
        };
        let seqno = current.seqno.wrapping_add(Self::AHEAD);
        (!written.is_some_and(covers)).then_some(Self { seqno, ..current })
    }

    /// So many announcements of a new number need nothing to be written.
    const AHEAD: u16 = 64;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(seqno: u16) -> State {
        State { router_id: RouterId::new([2, 0, 0, 0xff, 0xfe, 0, 0, 1]).unwrap(), seqno }
    }

    #[test]
    fn it_is_read_as_babeld_writes_it() {
        let text = state(4711).to_text(UnixTime::from_secs(1_795_389_533));
        assert_eq!(text, "02:00:00:ff:fe:00:00:01 4711 1795389533\n");
        assert_eq!(State::parse(&text), Some(state(4711)));
        for length in 0..text.len() - 11 {
            assert_eq!(State::parse(&text[..length]), None, "{length} octets");
        }
        for text in ["", "x", "0:0 1 1", "02:00:00:ff:fe:00:00:01 65536 1", "\0\0\0"] {
            assert_eq!(State::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_is_written_down_before_it_is_announced_and_seldom() {
        let (mut written, mut count) = (None, 0);
        for number in 0..1000_u16 {
            let current = state(number.wrapping_add(65_000));
            if let Some(next) = State::ahead_of(current, written) {
                written = Some(next);
                count += 1;
            }
            let kept = written.unwrap();
            assert!(kept.next_seqno().wrapping_sub(current.seqno).cast_signed() > 0);
        }
        assert!(count < 20, "{count}");
        let other = State { router_id: RouterId::new([9; 8]).unwrap(), ..written.unwrap() };
        assert!(State::ahead_of(other, written).is_some(), "another identity");
    }
}
