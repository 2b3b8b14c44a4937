//! The thread that moves packets between the devices of the hosts, through the emulated Internet.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::os::clock::Clock;
use crate::os::sys;
use crate::os::tun::{Layer, Tun};
use crate::proto::lab::fault::Fault;
use crate::proto::lab::internet::{Counters, Input, Internet, Output};

/// The devices of one host.
pub struct Devices {
    /// IP packets to and from the Internet.
    pub wan: Tun,
    /// Ethernet frames to and from its LAN segment.
    pub lan: Option<Tun>,
}

/// What the Internet is like now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// What became of the packets.
    pub counters: Counters,
    /// What was changed since the start, one sentence each.
    pub changes: Vec<String>,
}

/// A running emulator, as seen from elsewhere.
#[derive(Clone)]
pub struct Emulator {
    mailbox: Arc<Mutex<Vec<Question>>>,
    bell: Arc<UnixStream>,
}

enum Question {
    Status(oneshot::Sender<Status>),
    Change(Fault, oneshot::Sender<Result<(), String>>),
    Stop,
}

impl Emulator {
    /// Starts the thread.
    pub fn start(
        internet: Internet,
        devices: Vec<Devices>,
    ) -> io::Result<(Self, JoinHandle<io::Result<()>>)> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        let mailbox = Arc::new(Mutex::new(Vec::new()));
        let run = Loop::new(internet, devices, ear, Arc::clone(&mailbox));
        let thread = std::thread::Builder::new().name("emulator".into()).spawn(|| run.run())?;
        Ok((Self { mailbox, bell: Arc::new(bell) }, thread))
    }

    /// What the Internet is like now.
    pub async fn status(&self) -> Result<Status, String> {
        let (answer, answered) = oneshot::channel();
        self.ask(Question::Status(answer));
        answered.await.map_err(|_| STOPPED.to_owned())
    }

    /// Changes the Internet.
    pub async fn change(&self, fault: Fault) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        self.ask(Question::Change(fault, answer));
        answered.await.map_err(|_| STOPPED.to_owned())?
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.ask(Question::Stop);
    }

    fn ask(&self, question: Question) {
        if let Ok(mut mailbox) = self.mailbox.lock() {
            mailbox.push(question);
        }
        // A full pipe has woken the thread already.
        let _ = (&*self.bell).write(&[0]);
    }
}

struct Loop {
    internet: Internet,
    devices: Vec<Devices>,
    /// What is waited for, by position in `descriptors`, which ends with the ear's.
    ports: Vec<(usize, Layer)>,
    descriptors: Vec<RawFd>,
    ear: UnixStream,
    mailbox: Arc<Mutex<Vec<Question>>>,
    clock: Clock,
    out: Vec<Output>,
}

impl Loop {
    fn new(
        internet: Internet,
        devices: Vec<Devices>,
        ear: UnixStream,
        mailbox: Arc<Mutex<Vec<Question>>>,
    ) -> Self {
        let mut ports = Vec::new();
        let mut descriptors = Vec::new();
        for (host, device) in devices.iter().enumerate() {
            ports.push((host, Layer::Packets));
            descriptors.push(device.wan.as_raw_fd());
            if let Some(lan) = &device.lan {
                ports.push((host, Layer::Frames));
                descriptors.push(lan.as_raw_fd());
            }
        }
        descriptors.push(ear.as_raw_fd());
        let clock = Clock::start();
        Self { internet, devices, ports, descriptors, ear, mailbox, clock, out: Vec::new() }
    }

    fn run(mut self) -> io::Result<()> {
        // Delays are only as exact as this thread is prompt.
        sys::prefer_this_thread(-15);
        let mut ready = Vec::new();
        let mut buffer = vec![0; MTU_MAX];
        loop {
            let patience = self.internet.deadline().map(|at| at - self.clock.now());
            sys::wait_readable(&self.descriptors, patience, &mut ready)?;
            for at in &ready {
                match self.ports.get(*at).copied() {
                    Some((host, layer)) => self.read(host, layer, &mut buffer)?,
                    None if self.listen().is_err() => return Ok(()),
                    None => {}
                }
            }
            self.internet.handle(Input::Timer, self.clock.now(), &mut self.out);
            self.write();
        }
    }

    /// Takes what a host has sent, a bounded number of packets so that others get their turn.
    fn read(&mut self, host: usize, layer: Layer, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..BATCH {
            let devices = &self.devices[host];
            let device = match layer {
                Layer::Packets => &devices.wan,
                Layer::Frames => devices.lan.as_ref().unwrap_or(&devices.wan),
            };
            let Some(length) = device.receive(buffer)? else { break };
            let octets = buffer[..length].to_vec();
            let input = match layer {
                Layer::Packets => Input::Packet { host, octets },
                Layer::Frames => Input::Frame { host, octets },
            };
            self.internet.handle(input, self.clock.now(), &mut self.out);
        }
        self.write();
        Ok(())
    }

    fn write(&mut self) {
        for output in self.out.drain(..) {
            // A host whose interface is down loses what is sent to it, like any other.
            let _ = match output {
                Output::Packet { host, octets } => self.devices[host].wan.send(&octets),
                Output::Frame { host, octets } => match &self.devices[host].lan {
                    Some(lan) => lan.send(&octets),
                    None => Ok(()),
                },
            };
        }
    }

    /// Answers questions; an error when there will be no more.
    fn listen(&mut self) -> Result<(), Stopped> {
        let mut rings = [0; 64];
        let rung = (&self.ear).read(&mut rings).unwrap_or(0);
        let questions = self.mailbox.lock().map(|mut mailbox| std::mem::take(&mut *mailbox));
        for question in questions.unwrap_or_default() {
            match question {
                Question::Status(answer) => {
                    let (counters, changes) = (self.internet.counters(), self.internet.changes());
                    let _ = answer.send(Status { counters, changes });
                }
                Question::Change(fault, answer) => {
                    let done = self.internet.change(&fault).map_err(|error| error.to_string());
                    let _ = answer.send(done);
                }
                Question::Stop => return Err(Stopped),
            }
        }
        // The other end is gone with its last owner.
        if rung == 0 { Err(Stopped) } else { Ok(()) }
    }
}

struct Stopped;

/// Packets taken from one host before the next one's turn.
const BATCH: usize = 64;

/// Octets of the largest frame of a device.
const MTU_MAX: usize = 65_536;

const STOPPED: &str = "the emulator has stopped";
