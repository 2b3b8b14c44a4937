//! The world, one thing per file. Each is a small concrete type; none exists for mocking.

pub mod clock;
pub mod database;
pub mod entropy;
pub mod file;
pub mod forwarding;
pub mod host;
pub mod host_routes;
pub mod http;
pub mod link;
pub mod link_changes;
pub mod log;
pub mod mail;
pub mod member_routes;
pub mod multicast;
pub mod namespace;
pub mod offload;
pub mod ping;
pub mod route;
pub mod route_owner;
pub mod smtp;
pub mod store;
pub mod sys;
pub mod tap;
pub mod tcp;
pub mod tun;
pub mod udp;
