//! The registry: hands out prefixes and certificates, and tells members the network's parameters.
//!
//! What travels is HTTP, `GET /method?key=value`, as stock re6stnet's registry speaks it:
//!
//! ```text
//!  applicant                         registry                          member
//!     │ getCa ──────────────────────▶  │  ◀──────────── hello(prefix)     │
//!     │ requestToken (by mail) ─────▶  │  key, sealed and signed ───────▶ │
//!     │ requestCertificate ─────────▶  │  ◀─── getNetworkConfig, … + MAC  │
//!     │ ◀──────────── certificate      │  reply + MAC ──────────────────▶ │
//! ```
//!
//! Both ends: [`call`] (requests as values), [`session`] (the chain of keys that authenticates them),
//! [`parameters`] (what holds for the whole network), [`ipv4`], [`passed_on`]. The member's end: [`url`], [`client`]. The
//! registry's end: [`request`] (what is asked), [`sessions`], [`allocation`] (prefixes), [`community`], [`token`],
//! [`clock`] (whether to act on the time), [`origin`] (what headers say of proxies and browsers),
//! [`configuration`], [`hmac`] (Babel's keys, changed in three steps). Between
//! people: [`invitation`].

pub mod allocation;
pub mod call;
pub mod client;
pub mod clock;
pub mod community;
pub mod configuration;
pub mod hmac;
pub mod invitation;
pub mod ipv4;
pub mod origin;
pub mod parameters;
pub mod passed_on;
pub mod request;
pub mod session;
pub mod sessions;
pub mod token;
pub mod url;

/// The version of re6stnet's protocol that we speak.
pub const PROTOCOL: u32 = 10;
