//! A router as babeld's configuration language describes it.

use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use crate::command::babel::babeld_socket::ControlSocket;
use crate::command::babel::control;
use crate::command::babel::identity::{self, Identity};
use crate::command::babel::printing::print_changes;
use crate::command::babel::reload;
use crate::command::babel::request::BabelError;
use crate::command::babel::service::Babel;
use crate::command::babel::statements::{self, refused};
use crate::command::{Failure, Outcome, runtime};
use crate::os::hardware;
use crate::os::host_routes::HostRoutes;
use crate::os::route::KernelSettings;
use crate::proto::babel::configuration::options::{self, Options};
use crate::proto::babel::configuration::{Configuration, Interface};
use crate::proto::babel::filter::Filters;
use crate::proto::babel::redistribution::redistribute;
use crate::proto::babel::settings::Settings;
use crate::proto::limits;

/// What to run.
pub struct Job {
    /// The router.
    pub configuration: Configuration,
    /// How much is logged at least.
    pub verbose: u8,
    /// Where sequence numbers are kept if the configuration does not say; that it cannot be written there is
    /// no reason not to start.
    pub usual_state: Option<&'static str>,
    /// Where re6stnet asks.
    pub babeld_socket: Option<PathBuf>,
    /// Where `re6st babel dump` asks.
    pub socket: Option<PathBuf>,
    /// Whether changes are printed as JSON Lines.
    pub json: bool,
    /// Reads the configuration again; if nobody asks for that, SIGHUP ends the router as babeld's does.
    pub read_again: Option<ReadAgain>,
}

/// Reads the configuration again.
pub type ReadAgain = Box<dyn Fn() -> Result<Configuration, Failure>>;

/// Routes until told to end.
pub fn run(job: Job) -> Outcome {
    let interfaces = plan(&job.configuration)?;
    let in_background = job.configuration.options.daemonise;
    let done = begin(job, interfaces);
    if in_background && let Err(failure) = &done {
        // Nobody sees what is said at the end.
        error!("{failure}");
    }
    done
}

fn begin(job: Job, interfaces: Vec<Interface>) -> Outcome {
    let _pid_file = statements::begin(&job.configuration.options, job.verbose)?;
    for remark in &job.configuration.remarks {
        warn!("{remark}");
    }
    let runtime = runtime::start_alone();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(route(job, interfaces))
}

/// The links of a configuration that can be followed.
fn plan(configuration: &Configuration) -> Result<Vec<Interface>, Failure> {
    let interfaces = configuration.resolve_interfaces();
    let interfaces = interfaces.map_err(|problems| refused(&problems))?;
    if interfaces.is_empty() {
        return Err(Failure::usage("no interface is given: name one"));
    }
    Ok(interfaces)
}

async fn route(job: Job, interfaces: Vec<Interface>) -> Outcome {
    let failed = |error: BabelError| Failure::failed(error.to_string());
    let mut signals = Signals::open()?;
    let Job { mut configuration, usual_state, babeld_socket, socket, json, read_again, .. } = job;
    let identity = find_identity(&configuration.options, usual_state, &interfaces)?;
    let settings = Settings {
        router_id: identity.router_id,
        announced: Vec::new(),
        accepted: Vec::new(),
        keys: None,
    };
    let cannot_listen = |path: &PathBuf, error: std::io::Error| {
        Failure::failed(format!("cannot listen on {}: {error}", path.display()))
    };
    // All that can fail comes before the router, which removes what a dead one left.
    let mut asked = match &socket {
        Some(path) => {
            let opened = control::ControlSocket::open(path).await;
            Some(opened.map_err(|error| cannot_listen(path, error))?)
        }
        None => None,
    };
    let kernel = kernel(&configuration);
    let (babel, _notices) = Babel::start(settings, kernel, identity).map_err(failed)?;
    babel.set_filters(configuration.filters.clone()).await.map_err(failed)?;
    for interface in interfaces {
        babel.add_interface(&interface.name, interface.behaviour).await.map_err(failed)?;
    }
    let (reload_requests, mut reloads) = mpsc::channel(limits::BABEL_RELOADS_MAX);
    if let Some(asked) = &mut asked {
        asked.serve(babel.clone(), read_again.is_some().then_some(reload_requests));
    }
    if json {
        tokio::spawn(print_changes(babel.clone()));
    }
    // re6stnet asks as soon as the file is there: it must not be there before the router is.
    let babeld_socket = match &babeld_socket {
        Some(path) => Some(ControlSocket::bind(path).map_err(|error| cannot_listen(path, error))?),
        None => None,
    };
    let serve = async {
        match &babeld_socket {
            Some(socket) => socket.serve(&babel).await,
            None => std::future::pending().await,
        }
    };
    let follow =
        follow(&babel, &mut configuration, read_again.as_ref(), (&mut signals, &mut reloads));
    let done = tokio::select! {
        done = follow => done,
        () = serve => Ok(()),
        () = babel.ended() => Err(failed(BabelError::Stopped)),
    };
    // Routes are removed whether the router ended well or not.
    done.and(babel.stop().await.map_err(failed))
}

/// Who the router is. As with babeld, the usual state file may be that of others on this host: it tells the
/// sequence number of an identity, not the identity.
fn find_identity(
    options: &Options,
    usual_state: Option<&str>,
    interfaces: &[Interface],
) -> Result<Identity, Failure> {
    let of_hardware = || {
        let names: Vec<String> =
            interfaces.iter().map(|interface| interface.name.clone()).collect();
        hardware::router_id(&names).unwrap_or_else(|error| {
            warn!("cannot ask for hardware addresses: {error}");
            None
        })
    };
    let found = || of_hardware().unwrap_or_else(identity::draw);
    let given = match options.identity {
        options::Identity::Kept => options.router_id,
        options::Identity::Random => options.router_id.or_else(|| Some(identity::draw())),
    };
    match (options.state_file.as_deref(), usual_state) {
        (Some(""), _) | (None, None) => Identity::find(given, None, found),
        (Some(path), _) => Identity::find(given, Some(Path::new(path)), found),
        (None, Some(path)) => {
            let given = given.unwrap_or_else(found);
            Identity::find(Some(given), Some(Path::new(path)), found).or_else(|failure| {
                warn!(
                    "{failure}; if this router is restarted, neighbours may refuse it for a while"
                );
                Identity::find(Some(given), None, found)
            })
        }
    }
}

/// Originates what the configuration says, and reads it again when asked, until told to end.
async fn follow(
    babel: &Babel,
    configuration: &mut Configuration,
    read_again: Option<&ReadAgain>,
    (signals, reloads): (&mut Signals, &mut mpsc::Receiver<control::Reload>),
) -> Outcome {
    let hangup = if read_again.is_some() { Hangup::Reloads } else { Hangup::Ends };
    let mut host = HostRoutes::open().map_err(cannot_list)?;
    loop {
        let tables = tables(&configuration.options);
        let answer = tokio::select! {
            next = signals.next(hangup) => match next {
                Next::End => return Ok(()),
                Next::Reload => None,
            },
            done = announce(babel, &mut host, &configuration.filters, &tables) => return done,
            Some(answer) = reloads.recv() => Some(answer),
        };
        let Some(read_again) = read_again else { continue };
        let done = reload(babel, configuration, read_again).await;
        match &done {
            Ok(()) => info!("the configuration was read again"),
            Err(failure) => warn!("the configuration stays as it was: {failure}"),
        }
        if let Some(answer) = answer {
            let _ = answer.send(done.map_err(|failure| failure.to_string()));
        }
    }
}

/// Follows the configuration as it is now, without losing neighbours; one that cannot be followed changes
/// nothing.
async fn reload(
    babel: &Babel,
    configuration: &mut Configuration,
    read_again: &ReadAgain,
) -> Outcome {
    let next = read_again()?;
    let interfaces = plan(&next)?;
    if let Some(statement) = reload::fixed(configuration, &next) {
        return Err(Failure::usage(format!("`{statement}` changes only with a restart")));
    }
    let failed = |error: BabelError| Failure::failed(error.to_string());
    let is_kept = |name: &String| interfaces.iter().any(|interface| interface.name == *name);
    for (name, _) in configuration.interfaces.iter().filter(|(name, _)| !is_kept(name)) {
        babel.remove_interface(name).await.map_err(failed)?;
    }
    for interface in interfaces {
        babel.add_interface(&interface.name, interface.behaviour).await.map_err(failed)?;
    }
    if next.filters != configuration.filters {
        babel.set_filters(next.filters.clone()).await.map_err(failed)?;
    }
    *configuration = next;
    Ok(())
}

/// Originates what the filters let out of the host's addresses and routes, whenever these change.
async fn announce(
    babel: &Babel,
    host: &mut HostRoutes,
    filters: &Filters,
    tables: &[u32],
) -> Outcome {
    let mut announced = None;
    loop {
        let now = redistribute(&host.list(tables).map_err(cannot_list)?, filters);
        if announced.as_ref() != Some(&now) {
            let set = babel.set_announced(now.clone()).await;
            set.map_err(|error| Failure::failed(error.to_string()))?;
            announced = Some(now);
        }
        match tokio::time::timeout(limits::REDISTRIBUTION_CHECK_INTERVAL, host.changed()).await {
            // Changes come in bursts.
            Ok(changed) => {
                changed.map_err(cannot_list)?;
                tokio::time::sleep(limits::REDISTRIBUTION_PAUSE).await;
            }
            Err(_) => debug!("looks at the host's routes though nothing was told of them"),
        }
    }
}

fn cannot_list(error: std::io::Error) -> Failure {
    Failure::failed(format!("cannot list the host's addresses and routes: {error}"))
}

fn kernel(configuration: &Configuration) -> KernelSettings {
    KernelSettings {
        table: configuration.options.export_table,
        metric: configuration.options.kernel_priority,
        install: configuration.filters.install.clone(),
        setup: configuration.options.kernel_setup,
        link_detection: configuration.options.link_detection,
        first_rule: configuration.options.first_rule,
        ..KernelSettings::default()
    }
}

fn tables(options: &Options) -> Vec<u32> {
    if options.import_tables.is_empty() {
        vec![Options::TABLE]
    } else {
        options.import_tables.clone()
    }
}

/// Signals: some end the router, the others that babeld knows do nothing.
struct Signals {
    ends: [Signal; 3],
    _without_effect: [Signal; 2],
}

impl Signals {
    fn open() -> Result<Self, Failure> {
        let open = |kind| {
            signal(kind)
                .map_err(|error| Failure::failed(format!("cannot wait for signals: {error}")))
        };
        Ok(Self {
            ends: [
                open(SignalKind::terminate())?,
                open(SignalKind::interrupt())?,
                open(SignalKind::hangup())?,
            ],
            _without_effect: [
                open(SignalKind::user_defined1())?,
                open(SignalKind::user_defined2())?,
            ],
        })
    }

    async fn next(&mut self, on_hangup: Hangup) -> Next {
        let [terminate, interrupt, hangup] = &mut self.ends;
        tokio::select! {
            _ = terminate.recv() => Next::End,
            _ = interrupt.recv() => Next::End,
            _ = hangup.recv() => match on_hangup {
                Hangup::Ends => Next::End,
                Hangup::Reloads => Next::Reload,
            },
        }
    }
}

/// What SIGHUP does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hangup {
    Ends,
    Reloads,
}

/// What a signal asks for.
enum Next {
    End,
    Reload,
}
