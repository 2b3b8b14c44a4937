//! All integration tests, in one executable.
#![allow(missing_docs, reason = "tests are read, not linked")]

mod cli;
mod fuzz;
mod internet;
mod interop;
mod lab;
mod layout;
mod manual;
mod matrix;
mod namespace;
mod node;
mod pipes;
mod registry;
mod sim;
mod tidy;
