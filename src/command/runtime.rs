//! The threads of the daemons.

use std::cell::RefCell;
use std::io;
use std::num::NonZero;
use std::thread;

use tokio::runtime::{Builder, Runtime};

use crate::os::clock::Clock;
use crate::os::footprint;
use crate::proto::limits::BLOCKING_THREADS_MAX;
use crate::proto::tunnel::moderation::{Moderation, REST};

thread_local! {
    static MODERATION: RefCell<Moderation> = const { RefCell::new(Moderation::new()) };
}

/// Notes that this thread carried packets: many that come one by one make it rest.
pub fn carry(packets: u32) {
    MODERATION.with_borrow_mut(|moderation| moderation.carry(packets));
}

/// Makes those of the commands that carry tunnels: one for what decides, and for the data path half as many
/// as there are processors.
///
/// Not more: the other half is for whoever sends and receives through the tunnels, and where two threads
/// take turns on few processors, packets cross from one processor's cache to the other's, which costs a
/// fifth more for each octet.
pub fn start() -> io::Result<Runtime> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let mut builder = Builder::new_multi_thread();
    let clock = Clock::start();
    builder
        .worker_threads(data_path_threads(processors))
        .on_thread_park(move || {
            if MODERATION.with_borrow_mut(|moderation| moderation.sleep(clock.now())) {
                thread::sleep(REST);
            }
        })
        .on_thread_unpark(move || {
            MODERATION.with_borrow_mut(|moderation| moderation.wake(clock.now()));
        });
    daemon(&mut builder)
}

const fn data_path_threads(processors: usize) -> usize {
    if processors < 4 { 1 } else { processors / 2 }
}

/// Makes so many beside the one that waits for their end.
pub fn start_threads(threads: usize) -> io::Result<Runtime> {
    daemon(Builder::new_multi_thread().worker_threads(threads))
}

/// Makes the one of a router that routes and does nothing else.
pub fn start_alone() -> io::Result<Runtime> {
    daemon(&mut Builder::new_current_thread())
}

fn daemon(builder: &mut Builder) -> io::Result<Runtime> {
    footprint::share_heap();
    let runtime = builder.max_blocking_threads(BLOCKING_THREADS_MAX).enable_all().build()?;
    runtime.spawn(footprint::keep_small());
    Ok(runtime)
}

#[test]
fn two_processors_are_not_shared_by_two_threads_of_ours() {
    assert_eq!([1, 2, 3, 4, 8].map(data_path_threads), [1, 1, 1, 2, 4]);
}
