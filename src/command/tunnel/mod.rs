//! Tunnels: the service that `re6st node` and `re6st tunnel` share, and the latter's options.
//!
//! [`connect`](client::connect) and [`listen`](server::listen) give handles; what happens comes as
//! [`Event`](event::Event)s. There is one TAP interface for each tunnel, on both sides, which is
//! there exactly while the tunnel is.
//!
//! ```text
//!                 peer (control loop: session, interface, events)
//!                  │ keys, orders            ▲ control packets
//!       ┌──────────┴──────────┐              │
//!       ▼                     ▼              │
//!    outward                inward ──────────┘
//!    interface ─▶ seal ─▶ link     socket ─▶ open ─▶ interface
//! ```
//!
//! Frames touch neither a lock nor the control loop: each direction owns its keys, and gets new ones as
//! orders. A listener's clients share one [`port`] or one [`stream`] listener, and one [`house`].

pub mod client;
pub mod configuration;
pub mod counters;
pub mod entry;
pub mod event;
pub mod house;
pub mod interface;
pub mod inward;
pub mod link;
pub mod list_file;
pub mod options;
pub mod outward;
pub mod particulars;
pub mod peer;
pub mod port;
pub mod reception;
pub mod resolve;
pub mod run;
pub mod server;
pub mod stream;
pub mod terms;
