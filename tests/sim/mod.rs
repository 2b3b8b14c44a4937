//! The cores in one thread: virtual time, seeds, invariants after every step.

mod babel;
mod filters;
mod grid;
mod mesh;
mod survive;
mod world;
