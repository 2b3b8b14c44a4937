//! The last step of the way in: frames joined and written to the interface.

use std::sync::Arc;

use crate::os::offload::Offload;
use crate::os::tap::Tap;
use crate::proto::tunnel::coalesce::{Coalescer, Datagrams};
use crate::proto::tunnel::kind::Device;

/// Where frames enter the kernel.
#[derive(Debug)]
pub struct Entry {
    tap: Arc<Tap>,
    coalescer: Coalescer,
}

impl Entry {
    /// The way into an interface.
    pub fn new(tap: Arc<Tap>) -> Self {
        let datagrams = match tap.offload() {
            Offload::Full => Datagrams::Join,
            Offload::WithoutUdp | Offload::None => Datagrams::Single,
        };
        let coalescer = Coalescer::new(tap.device(), datagrams);
        Self { tap, coalescer }
    }

    /// What passes.
    pub fn device(&self) -> Device {
        self.tap.device()
    }

    /// Takes a frame, and writes what can grow no further.
    pub fn push(&mut self, frame: &[u8]) {
        let Self { tap, coalescer } = self;
        coalescer.push(frame, &mut |frame| write(tap, frame));
    }

    /// Writes what was held back, because nothing more is at hand.
    pub fn flush(&mut self) {
        let Self { tap, coalescer } = self;
        coalescer.flush(&mut |frame| write(tap, frame));
    }
}

fn write(tap: &Tap, frame: &[u8]) {
    if let Err(error) = tap.write(frame) {
        tracing::debug!("{}: cannot write a frame: {error}", tap.name());
    }
}
