//! The registry, by what a stock one said on the wire and by its behaviour.

mod access;
mod administration;
pub mod authority;
mod certificates;
mod clock;
mod crash;
mod exclusive;
mod hostile;
mod https;
mod keys;
mod limits;
pub mod load;
mod mail;
mod options;
mod own_node;
pub mod postgres;
pub mod process;
mod server;
mod several;
mod stock_conf;
mod stock_database;
mod stock_options;
mod vectors;
mod web;
