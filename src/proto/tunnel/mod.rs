//! The OpenVPN protocol, as client and as server, as OpenVPN 2.4 to 2.6 speak it.

pub mod checksum;
pub mod cipher;
pub mod coalesce;
pub mod credentials;
pub mod headers;
#[cfg(test)]
mod samples;
pub mod segment;
pub mod virtio;
