//! A router as babeld's configuration language describes it.

use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::command::babel::babeld_socket::ControlSocket;
use crate::command::babel::control;
use crate::command::babel::identity::Identity;
use crate::command::babel::run::print_changes;
use crate::command::babel::service::{Babel, BabelError};
use crate::command::{Failure, Outcome};
use crate::os::host_routes::HostRoutes;
use crate::os::route::KernelSettings;
use crate::proto::babel::configuration::options::Options;
use crate::proto::babel::configuration::{Configuration, Interface};
use crate::proto::babel::filter::Filters;
use crate::proto::babel::mac::{BadSignatures, Keys};
use crate::proto::babel::redistribution::redistribute;
use crate::proto::babel::settings::Settings;
use crate::proto::limits;

/// What to run.
#[derive(Debug)]
pub struct Job {
    /// The router.
    pub configuration: Configuration,
    /// Where re6stnet asks.
    pub babeld_socket: Option<PathBuf>,
    /// Where `re6st babel dump` asks.
    pub socket: Option<PathBuf>,
    /// Whether changes are printed as JSON Lines.
    pub json: bool,
}

/// Routes until told to end.
pub fn run(job: Job) -> Outcome {
    let plan = Plan::new(&job.configuration)?;
    for remark in &job.configuration.remarks {
        warn!("{remark}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(route(job, plan))
}

/// What can be found wrong before anything starts.
struct Plan {
    interfaces: Vec<Interface>,
    keys: Option<Keys>,
    bad_signatures: BadSignatures,
}

impl Plan {
    fn new(configuration: &Configuration) -> Result<Self, Failure> {
        let options = &configuration.options;
        if options.port != Options::PORT || options.group != Options::GROUP {
            return Err(Failure::usage(
                "`protocol-port` and `protocol-group` are not supported: Babel's are used",
            ));
        }
        let interfaces = configuration
            .resolve_interfaces()
            .map_err(|fault| Failure::usage(fault.to_string()))?;
        let Some(first) = interfaces.first() else {
            return Err(Failure::usage("no interface is given: name one"));
        };
        let (keys, bad_signatures) = (first.keys.clone(), first.bad_signatures);
        let other = interfaces
            .iter()
            .find(|other| other.keys != keys || other.bad_signatures != bad_signatures);
        if let Some(other) = other {
            return Err(Failure::usage(format!(
                "interfaces {} and {} have different keys, which is not supported: use `default key`",
                first.name, other.name
            )));
        }
        Ok(Self { interfaces, keys, bad_signatures })
    }
}

async fn route(job: Job, plan: Plan) -> Outcome {
    let failed = |error: BabelError| Failure::failed(error.to_string());
    let mut signals = Signals::open()?;
    let Job { configuration, babeld_socket, socket, json } = job;
    let options = &configuration.options;
    let state = options.state_file.as_deref().filter(|path| !path.is_empty()).map(Path::new);
    let identity = Identity::find(options.router_id, state)?;
    let settings = Settings {
        router_id: identity.router_id,
        announced: Vec::new(),
        accepted: Vec::new(),
        keys: plan.keys,
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
    babel.set_bad_signatures(plan.bad_signatures).await.map_err(failed)?;
    babel.set_filters(configuration.filters.clone()).await.map_err(failed)?;
    for interface in plan.interfaces {
        babel.add_interface(&interface.name, interface.settings).await.map_err(failed)?;
    }
    if let Some(asked) = &mut asked {
        asked.serve(babel.clone());
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
    let tables = tables(&configuration.options);
    let done = tokio::select! {
        () = signals.end() => Ok(()),
        () = serve => Ok(()),
        done = announce(&babel, &configuration.filters, tables) => done,
    };
    // Routes are removed whether the router ended well or not.
    let stopped = babel.stop().await.map_err(failed);
    info!("every route is removed");
    done.and(stopped)
}

/// Originates what the filters let out of the host's addresses and routes, whenever these change.
async fn announce(babel: &Babel, filters: &Filters, tables: Vec<u32>) -> Outcome {
    let failed = |error: std::io::Error| {
        Failure::failed(format!("cannot list the host's addresses and routes: {error}"))
    };
    let mut host = HostRoutes::open(tables).map_err(failed)?;
    let mut announced = Vec::new();
    loop {
        let now = redistribute(&host.list().await.map_err(failed)?, filters);
        if now != announced {
            let set = babel.set_announced(now.clone()).await;
            set.map_err(|error| Failure::failed(error.to_string()))?;
            announced = now;
        }
        host.changed().await;
        // Changes come in bursts.
        tokio::time::sleep(limits::REDISTRIBUTION_PAUSE).await;
    }
}

fn kernel(configuration: &Configuration) -> KernelSettings {
    KernelSettings {
        table: configuration.options.export_table,
        metric: configuration.options.kernel_priority,
        install: configuration.filters.install.clone(),
        setup: configuration.options.kernel_setup,
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

    async fn end(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.ends;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
