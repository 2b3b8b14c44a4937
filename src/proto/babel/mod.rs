//! Babel: a loop-avoiding distance-vector routing protocol (RFC 8966).

pub mod acknowledgement;
pub mod address;
pub mod composer;
pub mod configuration;
pub mod control;
pub mod counter;
pub mod destination;
pub mod dump;
pub mod filter;
pub mod hello;
pub mod history;
pub mod ihu;
pub mod mac;
pub mod next_hop;
pub mod packet;
pub mod requests;
pub mod router_id;
pub mod rtt;
pub mod settings;
pub mod sub_tlv;
pub mod update;
#[cfg(test)]
mod vectors;
