//! re6st: a resilient, scalable IPv6 mesh network over whatever the Internet gives.
//!
//! # The four layers
//!
//! ```text
//! bin ──▶ cli ──▶ command ──▶ proto
//!                    │          ▲
//!                    └──▶ os ───┘
//! ```
//!
//! - [`cli`]: from argv to one command, and from its outcome to an exit code.
//! - [`command`]: one module per command: its options, what it opens, the loop that drives its cores.
//!   Protocols meet here and nowhere else.
//! - [`proto`]: what peers say and decide. No I/O, no clock, no randomness of its own, no async.
//! - [`os`]: the world, one thing per file: devices, sockets, netlink, files, the clock.
//!
//! # The import rule
//!
//! `proto` names only `proto`; `os` names `os` and values of `proto`; `command` names what is below
//! it; `cli` names `command`. Within `proto`, the protocols (`babel`, `tunnel`, `mesh`, `registry`,
//! `matrix`, `lab`) never name each other; all may use the shared values at its top. `tests/tidy.rs`
//! says which file and line breaks it.
//!
//! # Where to start
//!
//! 1. `README.md`; 2. this page; 3. [`proto`], the two methods every core has;
//! 4. `proto/mesh/retirement.rs`, the smallest whole machine, with its table;
//! 5. `command/node/drive.rs`, the loop that composes the mesh; then any file: each begins with one
//!    sentence saying what it is for.
//!
//! # What is deliberately absent
//!
//! No async in `proto`, no traits for mocking, no global state, no logging in `proto` (cores return
//! notices), no configuration read below `command`, no features that switch behaviour.
//!
//! # Words
//!
//! *network*: its prefix comes from the CA's serial number. *node*: a member. *prefix*: a node's part
//! of the network, `CN = value/length`. *peer*: another node. *neighbour*: a peer on a link, in Babel's
//! sense. *tunnel*: a link we made. *link*: anything Babel runs on. *session*: one negotiation, of a
//! tunnel or between two nodes. *plane*: ipv4, ipv6 or sdn, in the ping matrix. *registry*: hands out
//! certificates. *gateway*: a way out of the network. *underlay*: the Internet below. *SDN*: the
//! network above.

pub mod cli;
pub mod command;
pub mod os;
pub mod proto;
