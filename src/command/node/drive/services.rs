//! What a node opens once its host is prepared: ports, the control socket, the router.

use std::net::IpAddr;

use tokio::sync::mpsc;

use crate::command::Failure;
use crate::command::babel::identity::{self, Identity as Router};
use crate::command::babel::service::Babel;
use crate::command::node::control::{Asked, Control};
use crate::command::node::drive::QUEUE;
use crate::command::node::network::{self, Preferences};
use crate::command::node::options::{Options, Port};
use crate::command::node::setup::Place;
use crate::command::node::tunnels::Tunnels;
use crate::command::tunnel::event::Event;
use crate::os::route::KernelSettings;
use crate::proto::babel::configuration::options::KernelSetup;
use crate::proto::babel::destination::Destination;
use crate::proto::babel::settings::{Acceptance, Announcement, Settings};
use crate::proto::certificate::Identity;
use crate::proto::cidr::Cidr;
use crate::proto::registry::parameters::Parameters;

/// What is opened once the host is prepared.
pub(super) struct Services {
    pub(super) tunnels: Tunnels,
    pub(super) tunnel_events: mpsc::Receiver<Event>,
    pub(super) control: Control,
    pub(super) questions: mpsc::Receiver<Asked>,
    pub(super) babel: Babel,
    pub(super) babel_notices: mpsc::Receiver<String>,
}

/// What they are opened for.
pub(super) struct Wanted<'a> {
    pub(super) options: &'a Options,
    pub(super) identity: &'a Identity,
    pub(super) parameters: &'a Parameters,
}

impl Wanted<'_> {
    pub(super) async fn open(
        &self,
        preferences: &Preferences,
        ports: &[Port],
        places: &[Place],
    ) -> Result<Services, Failure> {
        let (events, tunnel_events) = mpsc::channel(QUEUE);
        let (identity, parameters) = (self.identity, self.parameters);
        let tunnels = Tunnels::start(identity, parameters, preferences, ports, events).await?;
        let (asked, questions) = mpsc::channel(QUEUE);
        let control = Control::open(&self.options.run, asked).map_err(|error| {
            let folder = self.options.run.display();
            Failure::failed(format!("cannot open the control socket in {folder}: {error}"))
        })?;
        let state = self.options.state.join("babel-state");
        // A state folder that is full costs the node its past, and nothing else.
        let router = match Router::find(None, Some(&state), identity::draw) {
            Ok(router) => router,
            Err(failure) => {
                tracing::warn!("{failure}; this router begins without its past");
                Router::find(None, None, identity::draw)?
            }
        };
        let (babel, babel_notices) = start_babel(self.parameters, places, router)?;
        Ok(Services { tunnels, tunnel_events, control, questions, babel, babel_notices })
    }
}

fn start_babel(
    parameters: &Parameters,
    places: &[Place],
    router: Router,
) -> Result<(Babel, mpsc::Receiver<String>), Failure> {
    let announced = places.iter().map(|place| {
        let destination = Destination::from_anywhere(place.subnet);
        Announcement { destination, metric: 0 }
    });
    let networks = places.iter().map(|place| Acceptance::inside(place.network));
    let default = std::iter::once(Acceptance::exactly(Cidr::IPV6_DEFAULT));
    let settings = Settings {
        router_id: router.router_id,
        announced: announced.collect(),
        accepted: networks.chain(default).collect(),
        keys: network::babel_keys(parameters),
    };
    // The node itself has the host forward, and remembers what it changed for that.
    let setup = KernelSetup::Skipped;
    let mut kernel = KernelSettings { metric: ROUTE_METRIC, setup, ..KernelSettings::default() };
    for place in places {
        match place.address {
            IpAddr::V6(address) => {
                kernel.preferred_source_v6 = Some(address);
                kernel.default_source = Some(place.network);
            }
            IpAddr::V4(address) => kernel.preferred_source_v4 = Some(address),
        }
    }
    Babel::start(settings, kernel, router)
        .map_err(|error| Failure::failed(format!("cannot start the Babel router: {error}")))
}

/// Stock's babeld puts its routes there: others' routes to the same prefixes come first.
const ROUTE_METRIC: u32 = 1_024;
