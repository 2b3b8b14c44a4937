//! The OpenVPN protocol, as client and as server, as OpenVPN 2.4 to 2.6 speak it.

pub mod cipher;
pub mod credentials;
