//! One link: when its Hellos and updates are due, what its packets look like (RFC 8966 §3.2.3).

use std::time::Duration;

use crate::proto::babel::counter::OwnCounter;
use crate::proto::babel::event::Link;
use crate::proto::babel::mac::{GROUP, Keys, Path};
use crate::proto::babel::outbox::Outbox;
use crate::proto::babel::packet::{HEADER_OCTETS, MAGIC, VERSION};
use crate::proto::bytes::Writer;
use crate::proto::random::Random;
use crate::proto::time::Instant;

/// A link that Babel runs on.
#[derive(Clone, Debug)]
pub struct Interface {
    /// What it is.
    pub link: Link,
    /// The number of the next Hello.
    pub hello_seqno: u16,
    /// When the next Hello is due.
    pub hello_at: Instant,
    /// When the last Hello was sent.
    pub hello_sent: Option<Instant>,
    /// How soon the next Hello follows while a neighbour is to be found or won.
    backoff: Duration,
    /// When the whole table is due.
    pub update_at: Instant,
    /// What is to be said to everyone on it.
    pub outbox: Outbox,
    /// Whether there were too many neighbours lately: the operator is told once.
    pub is_full: bool,
    /// Counts what we send.
    counter: OwnCounter,
}

impl Interface {
    /// A link that came up.
    pub fn new(link: Link, keys: Option<&Keys>, random: &mut Random, now: Instant) -> Self {
        let update_interval = link.settings.update_interval;
        Self {
            hello_seqno: random.u16(),
            hello_at: now,
            hello_sent: None,
            backoff: Self::BACKOFF,
            update_at: now + random.between(update_interval / 2, update_interval),
            outbox: Outbox::new(body_octets_max(&link, keys)),
            is_full: false,
            counter: OwnCounter::new(random),
            link,
        }
    }

    /// From us to everyone.
    pub const fn to_all(&self) -> Path {
        Path { from: self.link.address, to: GROUP }
    }

    /// An empty outbox for one neighbour.
    pub fn unicast_outbox(&self, keys: Option<&Keys>) -> Outbox {
        Outbox::new(body_octets_max(&self.link, keys))
    }

    /// A Hello is being sent: when the next is due. While no neighbour is heard, or one cannot be used yet,
    /// something of what makes a link work may have been lost: said again soon, then less and less so, it
    /// need not wait for a whole interval.
    pub fn plan_next_hello(&mut self, is_settled: bool, now: Instant, random: &mut Random) {
        let interval = self.link.settings.hello_interval;
        let after = if is_settled { interval } else { interval.min(self.backoff) };
        self.backoff = interval.min(2 * after);
        self.hello_sent = Some(now);
        self.hello_seqno = self.hello_seqno.wrapping_add(1);
        self.hello_at = now + random.between(after.mul_f64(0.9), after);
    }

    /// Somebody new is there.
    pub const fn reset_backoff(&mut self) {
        self.backoff = Self::BACKOFF;
    }

    /// Says Hello at once, unless it was said just now.
    pub fn hello_soon(&mut self, now: Instant) {
        let soon = self.hello_sent.map_or(now, |sent| now.max(sent + Self::HELLO_PAUSE));
        self.hello_at = self.hello_at.min(soon);
    }

    /// Whether a Hello is due, or nearly so.
    pub fn may_say_hello(&self, now: Instant) -> bool {
        let early = self.link.settings.hello_interval / 2;
        let is_paused = self.hello_sent.is_some_and(|sent| now < sent + Self::HELLO_PAUSE);
        self.hello_at <= now || (self.hello_at <= now + early && !is_paused)
    }

    /// How soon the second Hello follows the first.
    const BACKOFF: Duration = Duration::from_millis(500);
    /// Hellos are at least this far apart, however many neighbours appear.
    const HELLO_PAUSE: Duration = Duration::from_millis(100);

    /// The octets of a packet with that body.
    pub fn seal(
        &mut self,
        mut body: Vec<u8>,
        path: Path,
        keys: Option<&Keys>,
        random: &mut Random,
    ) -> Vec<u8> {
        let keys = keys_on(&self.link, keys);
        if keys.is_some() {
            self.counter.put_next(random, &mut body);
        }
        let mut octets =
            Vec::with_capacity(HEADER_OCTETS + body.len() + keys.map_or(0, Keys::trailer_octets));
        octets.put_u8(MAGIC);
        octets.put_u8(VERSION);
        octets.put_u16(u16::try_from(body.len()).expect("bodies are composed to fit a packet"));
        octets.put(&body);
        if let Some(keys) = keys {
            keys.sign(path, &mut octets);
        }
        octets
    }
}

/// The keys of a link: its own, or else `common` to all.
pub fn keys_on<'a>(link: &'a Link, common: Option<&'a Keys>) -> Option<&'a Keys> {
    link.settings.authentication.as_ref().map(|own| &own.keys).or(common)
}

/// Octets of a body that fit into one packet of the link together with all around it.
pub fn body_octets_max(link: &Link, common: Option<&Keys>) -> usize {
    let keys = keys_on(link, common);
    let around = IPV6_UDP_OCTETS
        + HEADER_OCTETS
        + keys.map_or(0, |keys| OwnCounter::OCTETS + keys.trailer_octets());
    // RFC 8966 §4: no packet larger than 512 octets of payload or the MTU, whichever is more.
    let whole = (link.mtu as usize).clamp(IPV6_UDP_OCTETS + 512, PACKET_OCTETS_MAX);
    // With very many keys nothing is left: then each TLV has a packet of its own.
    whole.saturating_sub(around)
}

const IPV6_UDP_OCTETS: usize = 40 + 8;
/// Larger packets would only be lost whole.
const PACKET_OCTETS_MAX: usize = 9000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::babel::mac::{Hash, Key};
    use crate::proto::babel::settings::InterfaceSettings;

    #[test]
    fn a_packet_fits_the_link_or_has_512_octets_with_all_that_is_around_it() {
        let link = |mtu| Link {
            index: 1,
            name: "link".to_owned(),
            address: std::net::Ipv6Addr::LOCALHOST,
            address_v4: None,
            mtu,
            settings: InterfaceSettings::wired(Duration::from_secs(4)),
        };
        for (mtu, octets) in [(1400, 1400 - 48), (1280, 1280 - 48), (300, 512), (65_536, 8952)] {
            assert_eq!(body_octets_max(&link(mtu), None) + HEADER_OCTETS, octets, "{mtu}");
        }
        let key = Key::new(Hash::HmacSha256, &[1; 32]).unwrap();
        let keys = |count| Keys { sign: vec![key.clone(); count], accept: Vec::new() };
        let mut interface =
            Interface::new(link(1280), Some(&keys(2)), &mut Random::from_number(1), Instant::ZERO);
        let body = vec![0; body_octets_max(&interface.link, Some(&keys(2)))];
        let path = interface.to_all();
        let packet = interface.seal(body, path, Some(&keys(2)), &mut Random::from_number(1));
        assert_eq!(packet.len(), 1280 - 48);
        assert_eq!(body_octets_max(&link(1280), Some(&keys(100))), 0);
    }
}
