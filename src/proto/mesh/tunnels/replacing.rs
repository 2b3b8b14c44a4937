//! Tunnels that go: those that are there twice, and the least useful of them all now and then.

use std::collections::BTreeSet;

use crate::proto::mesh::choice::{self, Spare};
use crate::proto::mesh::message::Code;
use crate::proto::mesh::retirement::{Action, Event, Retirement, Stage};
use crate::proto::mesh::tunnels::{Cost, Decision, Link, Role, Tunnels};
use crate::proto::prefix::Prefix;
use crate::proto::time::Instant;

impl Tunnels {
    /// Never two tunnels between the same pair: of two clients, that of the smaller prefix goes.
    pub(super) fn drop_duplicates(&mut self, out: &mut Vec<Decision>) {
        let served: BTreeSet<Prefix> =
            self.up().filter(|t| t.role == Role::Server).map(|t| t.peer).collect();
        let doubled = self.tunnels.iter().filter(|(_, tunnel)| {
            tunnel.role == Role::Client && served.contains(&tunnel.peer) && self.own < tunnel.peer
        });
        let doubled: Vec<Link> = doubled.map(|(&link, _)| link).collect();
        for link in doubled {
            self.tunnels.remove(&link);
            out.push(Decision::Close { link });
        }
    }

    pub(super) fn go_on_retiring(&mut self, now: Instant, out: &mut Vec<Decision>) {
        let links: Vec<Link> = self
            .tunnels
            .iter()
            .filter(|(_, tunnel)| tunnel.retirement.is_some())
            .map(|(&link, _)| link)
            .collect();
        for link in links {
            if self.routed_through(link) == 0 {
                self.retire(link, Event::Unused, now, out);
            }
            let deadline = self.tunnels.get(&link).and_then(|t| t.retirement.as_ref());
            if deadline.is_some_and(|retirement| now >= retirement.deadline()) {
                self.retire(link, Event::Late, now, out);
            }
        }
    }

    /// Begins to replace the least useful tunnel when it is time and there is somebody else.
    pub(super) fn refresh(&mut self, now: Instant, out: &mut Vec<Decision>) {
        if now < self.refresh_at {
            return;
        }
        self.refresh_at = now + self.settings.refresh;
        let clients = self.tunnels.iter().filter(|(_, t)| t.role == Role::Client);
        let up: Vec<(Link, Prefix)> = clients
            .filter(|(_, tunnel)| tunnel.up_since.is_some() && tunnel.retirement.is_none())
            .map(|(&link, tunnel)| (link, tunnel.peer))
            .collect();
        let anybody = self.routes.keys().any(|&peer| self.is_distant(peer));
        if up.len() < self.most() || !anybody {
            return;
        }
        let spares: Vec<Spare> = up
            .iter()
            .map(|&(link, peer)| Spare { peer, routed: self.routed_through(link) })
            .collect();
        let least = choice::least_useful(&spares, &self.settings.preferred, &mut self.random);
        if let Some(link) = least.and_then(|peer| self.client_of(peer)) {
            let retirement = Retirement::of_client(self.settings.timeout * 2, now);
            self.begin_retirement(link, retirement, now, out);
        }
    }

    pub(super) fn begin_retirement(
        &mut self,
        link: Link,
        retirement: Retirement,
        now: Instant,
        out: &mut Vec<Decision>,
    ) {
        let Some(tunnel) = self.tunnels.get_mut(&link) else { return };
        tunnel.retirement = Some(retirement);
        out.push(Decision::SetCost { link, cost: Cost::Avoided });
        self.go_on_retiring(now, out);
    }

    pub(super) fn retire(
        &mut self,
        link: Link,
        event: Event,
        now: Instant,
        out: &mut Vec<Decision>,
    ) {
        let Some(tunnel) = self.tunnels.get_mut(&link) else { return };
        let peer = tunnel.peer;
        let Some(retirement) = &mut tunnel.retirement else { return };
        let locked = Decision::SetCost { link, cost: Cost::Locked };
        match retirement.handle(event, now) {
            None => {}
            Some(Action::LockAndAsk) => {
                out.extend([locked, Decision::Say { peer, code: Code::Retire }]);
            }
            Some(Action::LockAndAgree) => {
                out.extend([locked, Decision::Say { peer, code: Code::Retired }]);
            }
            Some(Action::Agree) => out.push(Decision::Say { peer, code: Code::Retired }),
            Some(Action::RestoreCost) => {
                tunnel.retirement = None;
                out.push(Decision::SetCost { link, cost: Cost::Usual });
            }
            Some(Action::Close) => {
                self.tunnels.remove(&link);
                out.push(Decision::Close { link });
            }
        }
    }

    /// Repeats questions that may have been lost.
    pub(super) fn ask_again(&self, out: &mut Vec<Decision>) {
        for tunnel in self.tunnels.values() {
            let stage = tunnel.retirement.as_ref().map(Retirement::stage);
            if stage == Some(Stage::Offered) {
                out.push(Decision::Say { peer: tunnel.peer, code: Code::Retire });
            }
        }
    }
}
