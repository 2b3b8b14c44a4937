//! Babel: a loop-avoiding distance-vector routing protocol (RFC 8966).
//!
//! # What is here
//!
//! | RFC | | is implemented | is not |
//! | --- | --- | --- | --- |
//! | 8966 | Babel | all TLVs, compression, 2-out-of-3 cost, ETX on radio links, feasibility, seqno requests with forwarding and repetition, requests before a route expires, triggered updates, retractions with a hold time, split horizon, pacing | Babel over IPv4 (§3.1); unicast and unscheduled Hellos (§3.4.1: each side is free) and acknowledgement requests (§3.3) are understood, none is sent: what must arrive, retractions, other originators and what is there again, is repeated, and once more where much gets lost; link-local destinations (§4.1.4) are passed over |
//! | 8967 | MAC | HMAC-SHA256 and BLAKE2s-128, several keys, keys for each link, challenges, counters | |
//! | 9467 | relaxed MAC | a window of recent counters each for multicast and unicast | |
//! | 9616 | delay | timestamps, smoothing, `rtt-min`, `rtt-max`, `max-rtt-penalty`, `rtt-decay` | |
//! | 9079 | source-specific | prefixes, requests, mandatory sub-TLVs; IPv6 by subtrees of the kernel, IPv4 by rules and tables | |
//! | 9229 | IPv4 via IPv6 | both ways; where it is announced is a setting of each link | ICMPv4 from the dummy address 192.0.0.8 (§3) is left to the kernel |
//!
//! Not part of any: [`loss`] in the metric, which changes only what a link is said to cost.
//!
//! # What is done otherwise than an RFC says
//!
//! Compared clause by clause; all are advice (SHOULD) but for those marked.
//!
//! - 8966 §3.1: a random delay is only for what goes to everyone; answers and requests leave at once.
//! - 8966 §3.4.2: an IHU goes with every Hello, on links without loss as well: delay is measured by it.
//! - 8966 §3.5.1 (must): a metric that a filter adds to an offer counts when it is decided whether that may
//!   be taken. So fewer may; no loop can follow.
//! - 8966 §3.5.4: a lost destination is refused for 90 s, not until nobody can have a route through here.
//! - 8966 §3.8.1.2: a seqno request is passed on also by a router that has itself lost what is asked for,
//!   and again by its clock, then to whom it would ask now (must: to one neighbour).
//! - 8966 §3.8.2.1: of those who have an offer that may not be taken, the best is asked first, and everyone
//!   a second later.
//! - 8966 §3.8.2.2: if what was taken may not be taken any more, it is asked for afresh only if nothing else
//!   is about as good; of a better offer that only has an old number, not one more than the newest number
//!   is asked for, but that one.
//! - 8966 §A.2.2: the better of the two histories counts, 16 Hellos long; with the multicast one alone, a
//!   neighbour that sends only unicast Hellos would be none.
//! - 8967 §4.3.1.1: a challenge that is repeated within its 30 s asks for the same nonce, not for another.
//! - 8967 §4.3.1.2: what goes to everyone in the same turn leaves before the answer to a challenge.
//! - 9467 §3.2 (must): after an answer to a challenge nothing is taken that was sent before it. The RFC lets
//!   127 packets in, once more if they had been taken before.
//! - 9616 §3.2 (must): of so many neighbours on a link that their IHUs fill more than one packet, some forty,
//!   those in the packets without a Hello are not measured.
//! - 9616 §4.1: in re6st networks a new sample weighs 0.49, as stock re6st has it, not 0.1 to 0.2.
//!
//! # Reading order
//!
//! Values: [`destination`], [`router_id`], [`settings`], [`event`]. Octets: [`packet`] with [`parser_state`],
//! a file for each TLV and [`tlv`] for all, [`composer`], [`mac`], [`counter`]. What is known: [`interface`],
//! [`neighbour`] with [`history`], [`rtt`] and [`loss`], [`table`] with [`entry`], [`source`],
//! [`mod@column`], [`route`] and [`routers`], [`pending`]. What is decided: [`selection`]. The machine:
//! [`router`], and `receive`, `upkeep`, `settle`, `announce`, `overview` beside it, by what sets them off.
//!
//! # Decisions
//!
//! - A destination has a place, and each neighbour a column of offers by place: 12 octets an offer, since
//!   neither neighbour nor destination stands beside it, and router-ids are kept once. An update needs one
//!   look-up, none if it comes in the order of last time; a repeated offer only moves its expiry, and one
//!   that is not better than what is taken is only noted.
//! - Hysteresis is a time, not a smoothed metric for each offer. Where costs are measured, and for a minute
//!   after any change of mind, an offer must have been better for some seconds without pause, by a timer
//!   and not by the next update, or be twice as good; else the better one is taken at once. What a
//!   neighbour costs is smoothed where it is measured.
//! - A neighbour whose Hellos begin anew forgot how far it claimed to be: its offers are void at once.
//!   The simulation found the loop that closes otherwise.
//! - What changes is queued by destination and composed when it is sent, so a burst of changes is said
//!   once, as it is at that moment.

pub mod acknowledgement;
pub mod address;
pub mod announce;
pub mod column;
pub mod composer;
pub mod configuration;
pub mod control;
pub mod counter;
pub mod destination;
pub mod dump;
pub mod entry;
pub mod event;
pub mod filter;
pub mod hello;
pub mod history;
pub mod ihu;
pub mod interface;
pub mod loss;
pub mod mac;
pub mod neighbour;
pub mod next_hop;
pub mod outbox;
pub mod overview;
pub mod packet;
pub mod parser_state;
pub mod pending;
pub mod places;
pub mod receive;
pub mod redistribution;
pub mod requests;
pub mod route;
pub mod router;
pub mod router_id;
pub mod routers;
pub mod rtt;
pub mod selection;
pub mod settings;
pub mod settle;
pub mod source;
pub mod state;
pub mod sub_tlv;
pub mod table;
pub mod tick;
pub mod tlv;
pub mod update;
pub mod upkeep;
#[cfg(test)]
mod vectors;
