//! The registry, by what a stock one said on the wire and by its behaviour.

mod vectors;
