//! The OpenVPN protocol, as client and as server, as OpenVPN 2.4 to 2.6 speak it.
//!
//! ```text
//!            control packets                              frames
//! peer ──▶ cookie ──▶ session ──▶ negotiation        peer ──▶ data::Opener ──▶ interface
//!          (server)      │         ├ reliability      peer ◀── data::Sealer ◀── interface
//!                        │         ├ tls                        ▲
//!                        │         └ exchange, settings         │ made by the session, used
//!                        └──────────── keys ────────────────────┘ where frames pass
//! ```
//!
//! Reading order: [`packet`], [`reliability`], [`negotiation`], [`session`]; beside them [`data`], and
//! [`liveness`], which only re6st speaks.
//!
//! Not spoken: key method 1, compression, BF-CBC and every other CBC cipher, static keys, user names and
//! passwords, `fragment`, negotiated ciphers between peers without a server.

pub mod agreement;
pub mod assigned;
pub mod black_hole;
pub mod checksum;
pub mod cipher;
pub mod coalesce;
pub mod control_keys;
pub mod cookie;
pub mod credentials;
pub mod data;
pub mod exchange;
pub mod headers;
pub mod key_file;
pub mod keys;
pub mod kind;
pub mod limit;
pub mod liveness;
pub mod mac;
pub mod moderation;
pub mod mss;
pub mod name;
pub mod negotiation;
pub mod ovpn;
pub mod packet;
pub mod path;
pub mod profile;
pub mod reliability;
pub mod replay;
pub mod revocation;
pub mod segment;
pub mod session;
pub mod settings;
pub mod tls;
pub mod virtio;
pub mod wrapper;

#[cfg(test)]
mod captured;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod pair;
#[cfg(test)]
mod pki;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod samples;
