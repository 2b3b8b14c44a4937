//! Plays the neighbours of one Babel router, and watches its kernel's routes: what `scripts/bench babel`
//! measures routers with. Commands in, one a line; JSON Lines out.
//!
//! ```text
//! babel-neighbours   g0 ──veth── d0   the router under test,
//! fe80::1:K on gK    g1 ──veth── d1   in another namespace,
//!                    …                fe80::d:K on dK
//! ```
//!
//! | command | does |
//! | --- | --- |
//! | `start PID` | says Hello on every link; the receive queue of that process is looked at from now on |
//! | `table WHO` | a neighbour, or `all`, says its whole table, as fast as the router reads it |
//! | `burst` | all say their whole tables without looking |
//! | `refresh` | whole tables are repeated from now on, evenly over the update interval |
//! | `retract WHO` | takes back each prefix, as fast as the router reads it |
//! | `silence WHO`, `return WHO` | says nothing at all; says Hello again |
//! | `mark` | counts and times begin anew |
//! | `show` | prints them |
#![allow(missing_docs, reason = "a program of its own, read and not linked")]

mod neighbour;
mod watch;

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use clap::Parser;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use re6st::os::clock::Clock;
use re6st::os::sys;
use re6st::proto::time::Instant;

use crate::neighbour::{Neighbour, Pace, Subject, World};
use crate::watch::Watch;

#[derive(Debug, Parser)]
struct Options {
    /// How many neighbours, each on a link of its own
    #[arg(long)]
    links: usize,
    /// How many prefixes each announces, all the same ones
    #[arg(long)]
    prefixes: u16,
    /// The namespace of the router, whose kernel routes are watched
    #[arg(long)]
    watch: String,
    /// Milliseconds between Hellos
    #[arg(long, default_value_t = 4000)]
    hello: u64,
    /// Milliseconds in which a whole table is repeated
    #[arg(long, default_value_t = 60_000)]
    update: u64,
    /// Metric of neighbour 0
    #[arg(long, default_value_t = 100)]
    best: u16,
    /// Metric of the others, at least
    #[arg(long, default_value_t = 150)]
    rest: u16,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let clock = Clock::start();
    let world = World {
        prefixes: usize::from(options.prefixes),
        seqnos: vec![100; usize::from(options.prefixes)],
        best: options.best,
        rest: options.rest,
        hello: Duration::from_millis(options.hello),
        update: Duration::from_millis(options.update),
    };
    let neighbours = (0..options.links).map(Neighbour::open).collect::<io::Result<_>>()?;
    let watch = Watch::open(&options.watch, options.links, world.prefixes)?;
    // Read without waiting: a line is taken when it is whole.
    fcntl(io::stdin(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut play = Play { clock, world, neighbours, watch, process: None, input: Vec::new() };
    print(&format!("{{\"event\":\"ready\",\"prefixes\":{}}}", options.prefixes))?;
    play.run()
}

/// All that is played.
struct Play {
    clock: Clock,
    world: World,
    neighbours: Vec<Neighbour>,
    watch: Watch,
    /// The router.
    process: Option<u32>,
    input: Vec<u8>,
}

impl Play {
    fn run(&mut self) -> io::Result<()> {
        let mut waited_for = vec![io::stdin().as_raw_fd(), self.watch.as_raw_fd()];
        waited_for.extend(self.neighbours.iter().map(Neighbour::as_raw_fd));
        let mut ready = Vec::new();
        loop {
            let now = self.clock.now();
            for neighbour in &mut self.neighbours {
                neighbour.say_what_is_due(&self.world, now)?;
            }
            let due = match self.say_tables()? {
                Progress::Said => now,
                Progress::Waits => now + BLOCKED,
                Progress::Idle => self.deadline(now),
            };
            sys::wait_readable(&waited_for, Some(due.since(self.clock.now())), &mut ready)?;
            for &at in &ready {
                match at {
                    0 if !self.read_commands()? => return Ok(()),
                    0 => {}
                    1 => self.watch.read(self.clock.now())?,
                    _ => self.neighbours[at - 2].receive(&mut self.world, self.clock.now())?,
                }
            }
        }
    }

    fn deadline(&self, now: Instant) -> Instant {
        let due = self.neighbours.iter().filter_map(|n| n.deadline(&self.world)).min();
        due.unwrap_or(now + IDLE).min(now + IDLE)
    }

    /// Some packets of each table that is being said, if the router has room for them.
    fn say_tables(&mut self) -> io::Result<Progress> {
        let saying = |neighbour: &&mut Neighbour, pace| neighbour.saying() == Some(pace);
        let mut progress = Progress::Idle;
        for neighbour in self.neighbours.iter_mut().filter(|n| saying(n, Pace::Burst)) {
            neighbour.say_on(&self.world)?;
            progress = Progress::Said;
        }
        if !self.neighbours.iter().any(|n| n.saying() == Some(Pace::AsRead)) {
            return Ok(progress);
        }
        if unread(self.process)? > UNREAD_OCTETS_MAX {
            return Ok(Progress::Waits);
        }
        let now = self.clock.now();
        for (who, neighbour) in self.neighbours.iter_mut().enumerate() {
            if neighbour.saying() == Some(Pace::AsRead) && neighbour.say_on(&self.world)? {
                print(&format!("{{\"event\":\"said\",\"who\":{who},\"at\":{}}}", seconds(now)))?;
            }
        }
        Ok(Progress::Said)
    }

    /// Whether more may come.
    fn read_commands(&mut self) -> io::Result<bool> {
        let mut octets = [0; 4096];
        let count = match io::stdin().read(&mut octets) {
            Ok(0) => return Ok(false),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        self.input.extend_from_slice(&octets[..count]);
        while let Some(end) = self.input.iter().position(|&octet| octet == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            self.command(String::from_utf8_lossy(&line).trim())?;
        }
        Ok(true)
    }

    fn command(&mut self, line: &str) -> io::Result<()> {
        let now = self.clock.now();
        let (word, argument) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "start" => {
                self.process = argument.parse().ok();
                self.neighbours.iter_mut().for_each(|neighbour| neighbour.begin(now));
            }
            "burst" => self.each("all", |n, _| n.say(Subject::Table, Pace::Burst)),
            "table" => self.each(argument, |n, _| n.say(Subject::Table, Pace::AsRead)),
            "retract" => self.each(argument, |n, _| n.say(Subject::Retractions, Pace::AsRead)),
            "silence" => self.each(argument, |n, _| n.fall_silent()),
            "return" => self.each(argument, |n, _| n.begin(now)),
            "refresh" => self.each("all", |n, world| n.refresh(world, now)),
            "mark" => {
                self.watch.mark();
                self.neighbours.iter_mut().for_each(|n| n.heard = neighbour::Heard::default());
            }
            "show" => return self.show(now),
            _ => return print("{\"event\":\"unknown command\"}"),
        }
        print(&format!("{{\"event\":\"done\",\"at\":{}}}", seconds(now)))
    }

    fn each(&mut self, who: &str, mut act: impl FnMut(&mut Neighbour, &World)) {
        let one = who.parse().ok();
        for (number, neighbour) in self.neighbours.iter_mut().enumerate() {
            if who == "all" || one == Some(number) {
                act(neighbour, &self.world);
            }
        }
    }

    fn show(&self, now: Instant) -> io::Result<()> {
        let heard: Vec<_> = self.neighbours.iter().map(|n| n.heard.to_json()).collect();
        let shown = serde_json::json!({
            "event": "shown",
            "at": now.since_start().as_secs_f64(),
            "heard": heard,
            "kernel": self.watch.to_json(),
        });
        print(&shown.to_string())
    }
}

/// What became of tables that are being said.
enum Progress {
    Idle,
    Said,
    /// The router has not read yet what was said.
    Waits,
}

fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

fn seconds(at: Instant) -> f64 {
    at.since_start().as_secs_f64()
}

/// Octets that wait in the router's socket; 0 if nobody asked to look.
fn unread(process: Option<u32>) -> io::Result<u64> {
    let Some(process) = process else { return Ok(0) };
    let sockets = std::fs::read_to_string(format!("/proc/{process}/net/udp6"))?;
    let waiting = sockets.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let is_babel = words.next()?.ends_with(":1A28");
        let queues = words.nth(2)?;
        let received = u64::from_str_radix(queues.split_once(':')?.1, 16).ok()?;
        is_babel.then_some(received)
    });
    Ok(waiting.max().unwrap_or(0))
}

/// Octets, as the kernel counts them, that may wait in the router's socket: a default buffer has four
/// times that room.
const UNREAD_OCTETS_MAX: u64 = 48 << 10;
const BLOCKED: Duration = Duration::from_micros(300);
const IDLE: Duration = Duration::from_millis(200);
