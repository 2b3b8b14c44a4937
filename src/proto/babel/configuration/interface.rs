//! What is said about one link, or about all by default.

use std::time::Duration;

use crate::proto::babel::configuration::problem::Fault;
use crate::proto::babel::configuration::words::{self, Words};
use crate::proto::babel::settings::{
    Behaviour, InterfaceSettings, LinkKind, Loss, RttSettings, SplitHorizon, V4ViaV6,
};

/// Parameters of a link; what is not given is left to the defaults, and then to its kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InterfaceOptions {
    /// What the link is made of; with `auto` it is not given.
    pub kind: Option<LinkKind>,
    /// Whether loss counts.
    pub link_quality: Option<bool>,
    /// Whether what was learned on the link is kept from it.
    pub split_horizon: Option<bool>,
    /// The cost of receiving.
    pub rxcost: Option<u16>,
    /// How often it says Hello.
    pub hello_interval: Option<Duration>,
    /// How often it repeats the whole table.
    pub update_interval: Option<Duration>,
    /// Whether delay is measured.
    pub timestamps: Option<bool>,
    /// Weight of a new measurement, out of 256.
    pub rtt_decay: Option<u16>,
    /// No penalty up to this round trip.
    pub rtt_min: Option<Duration>,
    /// The whole penalty from this round trip on.
    pub rtt_max: Option<Duration>,
    /// The whole penalty.
    pub rtt_penalty_max: Option<u16>,
    /// Whether IPv4 routes are announced where there is no IPv4 address.
    pub v4_via_v6: Option<bool>,
    /// The name of the key that signs.
    pub key: Option<String>,
    /// Whether packets that no key signed are taken.
    pub accept_bad_signatures: Option<bool>,
    /// What was said that this router does not do.
    pub faults: Vec<Fault>,
}

/// What applies where nothing is said, as options of the command line set it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterfaceDefaults {
    /// How often Hello is said on radio links.
    pub wireless_hello_interval: Duration,
    /// How often Hello is said on other links.
    pub hello_interval: Duration,
    /// What a link is made of, unless the host says that it is radio.
    pub kind: LinkKind,
    /// Whether what was learned on a link that is not radio is kept from it.
    pub split_horizon: SplitHorizon,
}

impl Default for InterfaceDefaults {
    fn default() -> Self {
        Self {
            wireless_hello_interval: HELLO_INTERVAL,
            hello_interval: HELLO_INTERVAL,
            kind: LinkKind::Wired,
            split_horizon: SplitHorizon::On,
        }
    }
}

impl InterfaceOptions {
    /// Reads what follows `default`, or `interface` and a name.
    pub fn parse(mut words: Words) -> Result<Self, Fault> {
        let mut options = Self::default();
        while let Some(word) = words.next_word() {
            let known = options.set_link(&word, &mut words)?
                || options.set_delay(&word, &mut words)?
                || options.refuse(&word, &mut words)?;
            if !known {
                return Err(Fault::Word { word, expected: "parameter of an interface" });
            }
        }
        Ok(options)
    }

    fn set_link(&mut self, word: &str, words: &mut Words) -> Result<bool, Fault> {
        match word {
            "type" => self.kind = words.value("auto, wired, wireless or tunnel", kind)?,
            // Deprecated, and still in many a file.
            "wired" => {
                let wired = words.value(CHOICE, words::choice)?;
                self.kind = wired.map(|wired| if wired { LinkKind::Wired } else { WIRELESS });
            }
            "link-quality" => self.link_quality = words.value(CHOICE, words::choice)?,
            "split-horizon" => self.split_horizon = words.value(CHOICE, words::choice)?,
            "rxcost" => self.rxcost = Some(words.value(COST, cost)?),
            "hello-interval" => self.hello_interval = Some(words.value(SECONDS, words::interval)?),
            "update-interval" => {
                self.update_interval = Some(words.value(SECONDS, words::interval)?);
            }
            "v4-via-v6" => self.v4_via_v6 = words.value(CHOICE, words::choice)?,
            "key" => self.key = Some(words.text("the name of a key")?),
            "accept-bad-signatures" => {
                self.accept_bad_signatures = words.value(CHOICE, words::choice)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_delay(&mut self, word: &str, words: &mut Words) -> Result<bool, Fault> {
        match word {
            "enable-timestamps" => self.timestamps = words.value(CHOICE, words::choice)?,
            "rtt-decay" => {
                let decay = |word: &str| words::number16(word, 1..=256);
                self.rtt_decay = Some(words.value("a number from 1 to 256", decay)?);
            }
            "rtt-min" => self.rtt_min = Some(words.value(MILLISECONDS, words::round_trip)?),
            "rtt-max" => self.rtt_max = Some(words.value(MILLISECONDS, words::round_trip)?),
            "max-rtt-penalty" => {
                let penalty = |word: &str| words::number16(word, 0..=u16::MAX);
                self.rtt_penalty_max = Some(words.value("a number up to 65535", penalty)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What babeld knows and this router does not.
    fn refuse(&mut self, word: &str, words: &mut Words) -> Result<bool, Fault> {
        match word {
            "channel" => {
                words.value("a channel, interfering or noninterfering", channel)?;
                self.without_effect("channel", "radio channels are not looked at");
            }
            "faraway" => {
                if words.value(CHOICE, words::choice)? == Some(true) {
                    self.without_effect("faraway true", "radio channels are not looked at");
                }
            }
            "probe-mtu" => {
                if words.value(CHOICE, words::choice)? == Some(true) {
                    self.without_effect(
                        "probe-mtu true",
                        "packets are as large as the interface's MTU allows",
                    );
                }
            }
            "unicast" => {
                if words.value(CHOICE, words::choice)? == Some(true) {
                    self.without_effect("unicast true", "neighbours take multicast as well");
                }
            }
            "rfc6126-compatible" => {
                if words.value(CHOICE, words::choice)? == Some(true) {
                    self.faults.push(Fault::Unsupported {
                        statement: "rfc6126-compatible true",
                        instead: "its neighbours must speak RFC 8966",
                    });
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn without_effect(&mut self, statement: &'static str, reason: &'static str) {
        self.faults.push(Fault::WithoutEffect { statement, reason });
    }

    /// These, and where they say nothing those of `other`.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            kind: self.kind.or(other.kind),
            link_quality: self.link_quality.or(other.link_quality),
            split_horizon: self.split_horizon.or(other.split_horizon),
            rxcost: self.rxcost.or(other.rxcost),
            hello_interval: self.hello_interval.or(other.hello_interval),
            update_interval: self.update_interval.or(other.update_interval),
            timestamps: self.timestamps.or(other.timestamps),
            rtt_decay: self.rtt_decay.or(other.rtt_decay),
            rtt_min: self.rtt_min.or(other.rtt_min),
            rtt_max: self.rtt_max.or(other.rtt_max),
            rtt_penalty_max: self.rtt_penalty_max.or(other.rtt_penalty_max),
            v4_via_v6: self.v4_via_v6.or(other.v4_via_v6),
            key: self.key.clone().or_else(|| other.key.clone()),
            accept_bad_signatures: self.accept_bad_signatures.or(other.accept_bad_signatures),
            faults: Vec::new(),
        }
    }

    /// What the router is told about the link; the host is asked what it is made of if nothing says that.
    pub fn behaviour(&self, defaults: &InterfaceDefaults) -> Behaviour {
        let is_asked = self.kind.is_none() && defaults.kind != WIRELESS;
        Behaviour {
            settings: self.settings(defaults, self.kind.unwrap_or(defaults.kind)),
            on_radio: is_asked.then(|| self.settings(defaults, WIRELESS)),
        }
    }

    fn settings(&self, defaults: &InterfaceDefaults, kind: LinkKind) -> InterfaceSettings {
        let wireless = kind == WIRELESS;
        let hello_interval = self.hello_interval.unwrap_or(if wireless {
            defaults.wireless_hello_interval
        } else {
            defaults.hello_interval
        });
        let split_horizon = match self.split_horizon {
            Some(true) => SplitHorizon::On,
            Some(false) => SplitHorizon::Off,
            // Not everyone on a radio link hears everyone else, nor behind the hub of a tunnel.
            None if wireless || kind == LinkKind::Tunnel => SplitHorizon::Off,
            None => defaults.split_horizon,
        };
        let counted = self.link_quality.unwrap_or(wireless);
        InterfaceSettings {
            kind,
            rxcost: self.rxcost.unwrap_or(if wireless { 256 } else { 96 }),
            hello_interval,
            update_interval: self.update_interval.unwrap_or(hello_interval * 4),
            rtt: self.rtt(kind),
            split_horizon,
            loss: if counted { Loss::Counted } else { Loss::Ignored },
            v4_via_v6: match self.v4_via_v6 {
                Some(false) => V4ViaV6::Off,
                Some(true) | None => V4ViaV6::On,
            },
            authentication: None,
        }
    }

    fn rtt(&self, kind: LinkKind) -> Option<RttSettings> {
        let tunnel = kind == LinkKind::Tunnel;
        let penalty_max = self.rtt_penalty_max.unwrap_or(if tunnel { 96 } else { 0 });
        self.timestamps.unwrap_or(tunnel || penalty_max > 0).then(|| RttSettings {
            min: self.rtt_min.unwrap_or(Duration::from_millis(10)),
            max: self.rtt_max.unwrap_or(Duration::from_millis(120)),
            penalty_max,
            decay: self.rtt_decay.unwrap_or(42),
        })
    }
}

fn kind(text: &str) -> Option<Option<LinkKind>> {
    Some(match text {
        "auto" | "default" => None,
        "wired" => Some(LinkKind::Wired),
        "wireless" => Some(LinkKind::Wireless),
        "tunnel" => Some(LinkKind::Tunnel),
        _ => return None,
    })
}

fn cost(text: &str) -> Option<u16> {
    words::number16(text, 1..=u16::MAX)
}

fn channel(text: &str) -> Option<()> {
    let named = matches!(text, "interfering" | "noninterfering");
    (named || words::number(text, &(1..=255)).is_some()).then_some(())
}

const HELLO_INTERVAL: Duration = Duration::from_secs(4);
const WIRELESS: LinkKind = LinkKind::Wireless;
const CHOICE: &str = "true, false or auto";
const COST: &str = "a number from 1 to 65535";
const SECONDS: &str = "a number of seconds up to 655.35";
const MILLISECONDS: &str = "a number of milliseconds";
