//! The threads of the daemons.

use std::cell::RefCell;
use std::io;
use std::num::NonZero;
use std::thread;

use tokio::runtime::{Builder, Runtime};

use crate::command::Failure;
use crate::os::clock::Clock;
use crate::os::signals::Signals;
use crate::os::{footprint, panics};
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

/// Takes over the signals of a daemon.
pub fn signals() -> Result<Signals, Failure> {
    Signals::open().map_err(|error| Failure::failed(format!("cannot wait for signals: {error}")))
}

/// Where and why a task of this daemon panicked, if one did: the daemon has ended because of that.
pub fn panicked() -> Option<&'static str> {
    panics::first()
}

/// Makes the one of a router that routes and does nothing else.
pub fn start_alone() -> io::Result<Runtime> {
    daemon(&mut Builder::new_current_thread())
}

fn daemon(builder: &mut Builder) -> io::Result<Runtime> {
    panics::end_the_process();
    footprint::share_heap();
    let runtime = builder.max_blocking_threads(BLOCKING_THREADS_MAX).enable_all().build()?;
    runtime.spawn(footprint::keep_small());
    Ok(runtime)
}

#[test]
fn two_processors_are_not_shared_by_two_threads_of_ours() {
    assert_eq!([1, 2, 3, 4, 8].map(data_path_threads), [1, 1, 1, 2, 4]);
}

/// Goal: a task that panics ends the daemon in an orderly way, and the daemon knows why.
/// Method: the test starts itself again; the daemon in there would wait for ever.
#[test]
fn panicked_task_ends_the_daemon_with_its_message() {
    const CHILD: &str = "RE6ST_TEST_PANICS";
    if std::env::var_os(CHILD).is_none() {
        let name = "command::runtime::panicked_task_ends_the_daemon_with_its_message";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{printed}");
        assert!(said.contains("panic in thread") && said.contains("out of order"), "{said}");
        return;
    }
    crate::os::log::start(1);
    start_threads(1).unwrap().block_on(async {
        let mut signals = crate::os::signals::Signals::open().unwrap();
        tokio::spawn(async { panic!("out of order") });
        signals.end("").await;
    });
    assert!(
        panicked().is_some_and(|why| why.contains("runtime.rs") && why.ends_with("out of order"))
    );
}
