//! A revoked member leaves the network, whatever else happens meanwhile and in whichever order.

use std::time::Duration;

use re6st::proto::certificate::PrivateKey;
use re6st::proto::crl::SignedCrl;
use re6st::proto::mesh::message::{Code, Errand, Message};
use re6st::proto::mesh::node::Input;
use re6st::proto::version::NetworkVersion;

use super::mesh::{HELLO, Number, World, prefix};

/// The one that is cut off and started again, and the one whose certificate is revoked.
const AWAY: Number = 2;
const REVOKED: Number = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    CutOff,
    Revoke,
    RegistryDown,
    Heal,
    Restart,
}

const STEPS: [Step; 5] =
    [Step::CutOff, Step::Revoke, Step::RegistryDown, Step::Heal, Step::Restart];

impl World {
    /// Publishes a version and its revocation list.
    fn publish(&mut self, number: u64, revoked: &[Number]) {
        let key = PrivateKey::from_pkey(self.keys.key.clone());
        let serials = revoked.iter().map(|&number| number as u64 + 1).collect();
        let version = NetworkVersion::sign(number, &key).unwrap();
        let crl = SignedCrl::sign(number, &serials, &key).unwrap();
        self.published = (Some(version), Some(crl));
    }

    /// `registry revoke`: the registry's database changes, and its own node is told, also while no registry
    /// answers.
    fn revoke(&mut self) {
        self.publish(2, &[REVOKED]);
        let (Some(version), Some(crl)) = self.published.clone() else { unreachable!() };
        for (code, body) in [(Code::Crl, crl.octets()), (Code::Version, version.octets())] {
            let errand = Errand { prefix: prefix(0), message: Message::new(code, body) };
            self.feed(0, Input::Errand { port: 1, octets: &errand.to_octets() });
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::CutOff => {
                self.cut.insert(AWAY);
                self.break_tunnels(AWAY);
            }
            Step::Heal => {
                self.cut.remove(&AWAY);
            }
            Step::Revoke => self.revoke(),
            Step::RegistryDown => self.registry_lives = false,
            Step::Restart => {
                self.kill(AWAY);
                self.start(AWAY, vec![0, 1, 3, REVOKED]);
            }
        }
    }
}

fn orders(left: &[Step]) -> Vec<Vec<Step>> {
    if left.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, &first) in left.iter().enumerate() {
        let rest = [&left[..at], &left[at + 1..]].concat();
        all.extend(orders(&rest).into_iter().map(|order| [vec![first], order].concat()));
    }
    all
}

/// Goal: no tunnel of a revoked member is left with anybody, and the others form one network.
/// Method: a node is cut off and comes back, a certificate is revoked, the registry goes down, the node is
/// started again: in all 120 orders. A node that is still cut off in the end is not looked at.
#[test]
fn revoked_member_is_out_in_every_order_of_troubles() {
    let orders = orders(&STEPS);
    assert_eq!(orders.len(), 120);
    for (seed, order) in orders.into_iter().enumerate() {
        let mut world = World::new(5, seed as u64);
        world.publish(1, &[]);
        for number in 0..5 {
            world.stored.insert(number, world.published.clone());
        }
        for number in 0..5 {
            world.kill(number);
            world.start(number, Vec::new());
        }
        world.run_until_whole(Duration::from_secs(300));
        assert!(!world.peers_of(REVOKED).is_empty());
        for &step in &order {
            world.take(step);
            world.run_for(Duration::from_secs(20));
        }
        // One that was cut off tries each peer again after ten minutes at most.
        world.run_for(HELLO * 4 + Duration::from_secs(700));
        let left = world.peers_of(REVOKED);
        let knows = world.stored[&AWAY].1.as_ref().is_some_and(|crl| crl.version() == 2);
        let is_back = !world.cut.contains(&AWAY);
        assert!(left.is_empty(), "seed {seed}, {order:?}: {left:?} have tunnels with the revoked");
        assert_eq!(knows, is_back || knows, "seed {seed}, {order:?}");
        if is_back {
            assert!(!world.peers_of(AWAY).is_empty(), "seed {seed}, {order:?}: still away");
        }
    }
}
