//! What is said about the router as a whole, one statement each.

use crate::proto::babel::configuration::problem::Fault;
use crate::proto::babel::configuration::words::{self, Words};
use crate::proto::babel::mac::{GROUP, PORT};
use crate::proto::babel::router_id::RouterId;

/// The router as a whole, as it is configured; defaults are babeld's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The priority that the kernel calls metric, for installed routes.
    pub kernel_priority: u32,
    /// The kernel's table for installed routes.
    pub export_table: u32,
    /// The kernel's tables that are redistributed from; the main one if none is named.
    pub import_tables: Vec<u32>,
    /// The priority of the kernel's first rule for IPv4 routes by source.
    pub first_rule: u32,
    /// Its identity, if it is given.
    pub router_id: Option<RouterId>,
    /// Where an identity comes from that is not given.
    pub identity: Identity,
    /// Where sequence numbers survive a restart.
    pub state_file: Option<String>,
    /// Where notices go instead of standard error.
    pub log_file: Option<String>,
    /// Where the process id is written.
    pub pid_file: Option<String>,
    /// Whether forwarding and reverse path filters of the kernel are left as they are.
    pub kernel_setup: KernelSetup,
    /// When a link can be used.
    pub link_detection: LinkDetection,
    /// Whether the process leaves its terminal and goes on in the background.
    pub daemonise: bool,
    /// How much is told about what happens.
    pub debug: u32,
}

/// Where an identity comes from that nobody gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    /// The same at each start: of the state file, else of a hardware address; drawn if there is none.
    Kept,
    /// Drawn at each start, whatever the state file says.
    Random,
}

/// Whether the kernel's parameters for routers are set at the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KernelSetup {
    /// Forwarding is turned on, reverse path filters and redirects off.
    Done,
    /// Somebody else does it.
    Skipped,
}

/// When a link can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkDetection {
    /// When it is up and has a carrier: a cable that is pulled out is noticed at once.
    Carrier,
    /// When somebody has set it up, carrier or not.
    Administrative,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kernel_priority: 0,
            export_table: Self::TABLE,
            import_tables: Vec::new(),
            first_rule: 100,
            router_id: None,
            identity: Identity::Kept,
            state_file: None,
            log_file: None,
            pid_file: None,
            kernel_setup: KernelSetup::Done,
            link_detection: LinkDetection::Administrative,
            daemonise: false,
            debug: 0,
        }
    }
}

impl Options {
    /// The kernel's main table.
    pub const TABLE: u32 = 254;

    /// Takes the statement that begins with `word`.
    pub fn set(&mut self, word: &str, mut words: Words) -> Result<(), Fault> {
        let known = self.set_protocol(word, &mut words)? || self.set_process(word, &mut words)?;
        let refusal = if known { Ok(()) } else { refuse(word, &mut words) };
        if let Err(fault @ (Fault::Statement(_) | Fault::Value { .. })) = refusal {
            return Err(fault);
        }
        words.end().and(refusal)
    }

    /// What concerns packets and routes.
    fn set_protocol(&mut self, word: &str, words: &mut Words) -> Result<bool, Fault> {
        match word {
            "kernel-priority" => self.kernel_priority = words.value(NUMBER, number)?.into(),
            "first-rule-priority" => self.first_rule = words.value(NUMBER, number)?.into(),
            "export-table" => self.export_table = words.value(NUMBER, number)?.into(),
            "import-table" => self.import_tables.push(words.value(NUMBER, number)?.into()),
            "router-id" => {
                self.router_id = Some(words.value("six or eight octets", words::router_id)?);
            }
            "random-id" => {
                let random = words.value(BOOLEAN, words::boolean)?;
                self.identity = if random { Identity::Random } else { Identity::Kept };
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What concerns the process and its host.
    fn set_process(&mut self, word: &str, words: &mut Words) -> Result<bool, Fault> {
        match word {
            "state-file" => self.state_file = Some(words.text(FILE)?),
            "log-file" => self.log_file = Some(words.text(FILE)?),
            "pid-file" => self.pid_file = Some(words.text(FILE)?),
            "skip-kernel-setup" => {
                let skip = words.value(BOOLEAN, words::boolean)?;
                self.kernel_setup = if skip { KernelSetup::Skipped } else { KernelSetup::Done };
            }
            "link-detect" => {
                let detect = words.value(BOOLEAN, words::boolean)?;
                self.link_detection =
                    if detect { LinkDetection::Carrier } else { LinkDetection::Administrative };
            }
            "daemonise" => self.daemonise = words.value(BOOLEAN, words::boolean)?,
            "debug" => {
                self.debug =
                    words.value("a number", |word| words::number(word, &(0..=u32::MAX)))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// What babeld knows and this router does not; most of it matters only if it is turned on.
fn refuse(word: &str, words: &mut Words) -> Result<(), Fault> {
    let without_effect = |statement, reason| Err(Fault::WithoutEffect { statement, reason });
    let unsupported = |statement, instead| Err(Fault::Unsupported { statement, instead });
    match word {
        "reflect-kernel-metric" if words.value(BOOLEAN, words::boolean)? => unsupported(
            "reflect-kernel-metric true",
            "all routes get one priority, set it by `kernel-priority`",
        ),
        "protocol-group" if words.value("a multicast address", words::group)? != GROUP => {
            unsupported("protocol-group", "Babel's own, ff02::1:6, is used, leave the line out")
        }
        "protocol-port" if words.value(NUMBER, number)? != PORT => {
            unsupported("protocol-port", "Babel's own, 6696, is used, leave the line out")
        }
        "ipv6-subtrees" if !words.value(BOOLEAN, words::boolean)? => unsupported(
            "ipv6-subtrees false",
            "source-specific routes are left to the kernel, leave the line out",
        ),
        "diversity" if words.value("a boolean or a kind up to 3", diversity)? > 0 => {
            without_effect("diversity", "every hop counts in full, whatever its radio channel")
        }
        "protocol-group"
        | "protocol-port"
        | "reflect-kernel-metric"
        | "ipv6-subtrees"
        | "diversity" => Ok(()),
        "allow-duplicates" => {
            words.value(NUMBER, number)?;
            unsupported("allow-duplicates", "a destination comes from the kernel or from Babel")
        }
        "diversity-factor" => {
            words.value("a number up to 256", |word| words::number(word, &(0..=256)))?;
            without_effect("diversity-factor", "radio channels are not looked at")
        }
        "kernel-check-interval" => {
            words.value("a number of seconds", number_or_zero)?;
            without_effect(
                "kernel-check-interval",
                "the kernel tells what changes, and is asked every 5 minutes",
            )
        }
        "shutdown-delay-ms" => {
            words.value("a number of milliseconds", number_or_zero)?;
            without_effect("shutdown-delay-ms", "neighbours are told before routes are removed")
        }
        "smoothing-half-life" => {
            words.value("a number of seconds", number_or_zero)?;
            without_effect("smoothing-half-life", "it is the one that this router always uses")
        }
        "local-port" | "local-port-readwrite" => {
            words.value(NUMBER, number)?;
            without_effect("local-port", NO_CLIENTS)
        }
        "local-path" | "local-path-readwrite" => {
            words.text(FILE)?;
            without_effect("local-path", NO_CLIENTS)
        }
        _ => Err(Fault::Statement(word.to_owned())),
    }
}

fn number(text: &str) -> Option<u16> {
    words::number16(text, 1..=65_534)
}

fn number_or_zero(text: &str) -> Option<u16> {
    words::number16(text, 0..=u16::MAX)
}

fn diversity(text: &str) -> Option<u32> {
    let named = words::boolean(text).map(|on| if on { 3 } else { 0 });
    named.or_else(|| words::number(text, &(0..=3)))
}

const NO_CLIENTS: &str = "clients of babeld are not served: start the router by `re6st babel run` and ask it \
                          by `re6st babel dump` or `monitor`";
const NUMBER: &str = "a number from 1 to 65534";
const BOOLEAN: &str = "true or false";
const FILE: &str = "the name of a file";
