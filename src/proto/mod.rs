//! What peers say and decide, as values and state machines that know no world.
//!
//! Every core has two methods:
//!
//! ```text
//! fn handle(&mut self, input: Input, now: Instant, out: &mut Vec<Output>);
//! fn deadline(&self) -> Option<Instant>;
//! ```
//!
//! - An `Input` is what happened: octets that arrived, a device that appeared, [`time`] that passed
//!   (`Input::Timer`, given at the deadline or later, never required to be exact).
//! - An `Output` is what to do about it. Everything to do is pushed to `out` before `handle` returns:
//!   nothing is left inside to be drained, so nothing can be forgotten.
//! - `now` starts at [`time::Instant::ZERO`] when the process or the simulation starts.
//! - A core is given its [`random::Random`] when it is made: seeded by the kernel in daemons, by a
//!   number in tests.
//! - A core does not log. What an operator should know is a notice among its outputs.
//! - What bounds it is in [`limits`].
#![forbid(unsafe_code)]

pub mod babel;
pub mod bytes;
pub mod certificate;
pub mod cidr;
pub mod crl;
pub mod endpoint;
pub mod half_open;
pub mod lab;
pub mod limits;
pub mod matrix;
pub mod mesh;
pub mod prefix;
pub mod random;
pub mod rate_limit;
pub mod registry;
pub mod terminal;
pub mod time;
pub mod tunnel;
pub mod version;
