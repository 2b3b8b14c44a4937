//! What others do to the kernel's routes, told by the kernel itself; what we do is not told.

use std::io;

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::{RouteMessage, RouteProtocol};
use rtnetlink::packet_route::rule::RuleAttribute;

use crate::os::kernel_route::KernelRoute;
use crate::os::notifications::{self, Except, Notification, Notifications};
use crate::os::shared_routes::Place;

/// Tells of changes in the network namespace it was opened in.
pub struct RouteChanges {
    notifications: Notifications,
}

/// What somebody else did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// A change of one route.
    Route(RouteChange),
    /// A Babel router's rule for IPv4 routes by source is gone.
    RuleRemoved,
    /// More than could be told: anything may have changed.
    Anything,
}

/// A route that somebody else changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteChange {
    /// Where it is.
    pub place: Place,
    /// Its priority.
    pub metric: u32,
    /// Whose it is.
    pub owner: Owner,
    /// What became of it.
    pub became: Became,
}

/// Whose a route is, by its protocol number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A Babel router's.
    Babel,
    /// The host's.
    Host,
}

/// What became of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Became {
    /// It is there, perhaps in the place of another.
    Put,
    /// It is gone.
    Removed,
}

impl RouteChanges {
    /// Listens to all but what the netlink socket with the number `ours` does.
    pub fn open(ours: u32) -> io::Result<Self> {
        let groups =
            [notifications::IPV4_ROUTES, notifications::IPV6_ROUTES, notifications::IPV4_RULES];
        Ok(Self { notifications: Notifications::open(&groups, Except::Sender(ours))? })
    }

    /// Waits for the next change.
    pub async fn next(&mut self) -> io::Result<Told> {
        loop {
            if let Some(told) = told(self.notifications.next().await?) {
                return Ok(told);
            }
        }
    }
}

fn told(notification: Notification) -> Option<Told> {
    match notification {
        Notification::Of(RouteNetlinkMessage::NewRoute(route)) => {
            change(&route, Became::Put).map(Told::Route)
        }
        Notification::Of(RouteNetlinkMessage::DelRoute(route)) => {
            change(&route, Became::Removed).map(Told::Route)
        }
        Notification::Of(RouteNetlinkMessage::DelRule(rule)) => {
            let of_babel = RuleAttribute::Protocol(RouteProtocol::Babel);
            rule.attributes.contains(&of_babel).then_some(Told::RuleRemoved)
        }
        Notification::Of(_) => None,
        Notification::Lost => Some(Told::Anything),
    }
}

fn change(message: &RouteMessage, became: Became) -> Option<RouteChange> {
    let KernelRoute { place, metric, .. } = KernelRoute::read(message)?;
    let is_of_babel = message.header.protocol == RouteProtocol::Babel;
    let owner = if is_of_babel { Owner::Babel } else { Owner::Host };
    Some(RouteChange { place, metric, owner, became })
}
