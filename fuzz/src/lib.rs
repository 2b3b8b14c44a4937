//! What each fuzz target does with any octets: called by libFuzzer, and by the tests with the corpus.
//!
//! An entry must not panic, whatever it is given: that is what is tested. Where octets stand for a
//! sequence of events, [`choices`] says how they are read.

mod babel;
mod certificate;
mod choices;
mod lab;
mod mesh;
mod registry;
mod tunnel;
mod tunnel_session;

pub use babel::{babel_configuration, babel_control, babel_packet, babel_router};
pub use certificate::certificate;
pub use lab::{lab_packet, lab_scenario};
pub use mesh::mesh_node;
pub use registry::{registry_request, registry_text};
pub use tunnel::{tunnel_frame, tunnel_options, tunnel_packet, tunnel_profile, tunnel_text};
pub use tunnel_session::tunnel_session;
