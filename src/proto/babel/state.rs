//! What a router must remember over a restart: its identity and the number of its announcements.
//!
//! Neighbours remember both for minutes (RFC 8966 §3.5.1). A router that comes back under the same
//! identity with a lower number would be refused until it is asked for a higher one.

use crate::proto::babel::configuration::words;
use crate::proto::babel::router_id::RouterId;
use crate::proto::time::UnixTime;

/// What is remembered of the last life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Past {
    /// Who it was; a babeld of today does not say.
    pub router_id: Option<RouterId>,
    /// The highest number it may have announced.
    pub seqno: u16,
}

impl Past {
    /// Reads what [`State::to_text`] wrote, or a babeld: `SEQNO`, or `ROUTER-ID SEQNO TIME` up to 1.8.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (router_id, seqno) = match *words {
            [seqno] => (None, seqno),
            [seqno, router_id, time] if !seqno.contains(':') => {
                let _written_at: u64 = time.parse().ok()?;
                (Some(words::router_id(router_id)?), seqno)
            }
            [router_id, seqno, time] => {
                let _written_at: u64 = time.parse().ok()?;
                (Some(words::router_id(router_id)?), seqno)
            }
            _ => return None,
        };
        Some(Self { router_id, seqno: seqno.parse().ok()? })
    }

    /// Whether it is of this router, as far as can be told.
    pub fn is_of(&self, router_id: RouterId) -> bool {
        self.router_id.is_none_or(|known| known == router_id)
    }

    /// The number to begin with: higher than all that may have been announced.
    pub const fn next_seqno(&self) -> u16 {
        self.seqno.wrapping_add(1)
    }
}

/// What is to be remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// Who it is.
    pub router_id: RouterId,
    /// The highest number it may have announced.
    pub seqno: u16,
}

impl State {
    /// `SEQNO ROUTER-ID TIME`, in one line: babeld reads the first word.
    pub fn to_text(&self, now: UnixTime) -> String {
        format!("{} {} {}\n", self.seqno, self.router_id, now.as_secs())
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
    fn it_is_read_as_we_and_babelds_write_it() {
        let text = state(4711).to_text(UnixTime::from_secs(1_795_389_533));
        assert_eq!(text, "4711 02:00:00:ff:fe:00:00:01 1795389533\n");
        let past = Past { router_id: Some(state(0).router_id), seqno: 4711 };
        assert_eq!(Past::parse(&text), Some(past));
        assert_eq!(Past::parse("02:00:00:ff:fe:00:00:01 4711 1795389533\n"), Some(past));
        assert_eq!(Past::parse("4711\n"), Some(Past { router_id: None, seqno: 4711 }));
        for length in 5..text.len() - 11 {
            assert_eq!(Past::parse(&text[..length]).filter(|past| past.seqno != 4711), None);
        }
        for text in ["", "x", "0:0 1 1", "1 0:0 1", "02:00:00:ff:fe:00:00:01 65536 1", "\0\0\0"] {
            assert_eq!(Past::parse(text), None, "{text}");
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
            let kept = Past::parse(&written.unwrap().to_text(UnixTime::from_secs(0))).unwrap();
            assert!(kept.next_seqno().wrapping_sub(current.seqno).cast_signed() > 0);
        }
        assert!(count < 20, "{count}");
        let other = State { router_id: RouterId::new([9; 8]).unwrap(), ..written.unwrap() };
        assert!(State::ahead_of(other, written).is_some(), "another identity");
    }
}
