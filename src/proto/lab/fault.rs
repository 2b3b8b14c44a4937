//! What may be changed while the lab is up.

use serde::{Deserialize, Serialize};

use crate::proto::lab::scenario::{Override, Scenario, ScenarioError};

/// One change to the emulated Internet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// Paths behave differently.
    Path(Override),
    /// Paths between the two (`*`: every other one) are again as the scenario says.
    Heal {
        /// The two hosts.
        between: [String; 2],
    },
    /// A host's network drops UDP, or lets it pass again.
    Udp {
        /// The host.
        host: String,
        /// Whether it is dropped.
        dropped: bool,
    },
}

impl Fault {
    /// Whether its hosts exist and its numbers make sense.
    pub fn check(&self, scenario: &Scenario) -> Result<(), ScenarioError> {
        match self {
            Self::Path(change) => change.check(scenario),
            Self::Heal { between } => {
                Override { between: between.clone(), ..Override::default() }.check(scenario)
            }
            Self::Udp { host, .. } => scenario.host(host).map(|_| ()),
        }
    }
}
