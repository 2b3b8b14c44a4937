//! Tunnels: the service that `re6st node` and `re6st tunnel` share, and the latter's options.
//!
//! [`connect`](client::connect) and [`listen`](server::listen) give handles; what happens comes as
//! [`Event`](event::Event)s. There is one TAP interface for each tunnel, on both sides, which is
//! there exactly while the tunnel is.

pub mod client;
pub mod event;
pub mod server;
