//! The cores in one thread: virtual time, seeds, invariants after every step.

mod babel;
mod bench;
mod clauses;
mod filters;
mod goodbye;
mod grid;
mod mesh;
mod pressure;
mod revocation;
mod statements;
mod survive;
mod world;
