//! What the registry's answers change in a running node.

use std::net::IpAddr;

use crate::command::node::drive::{Drive, clock};
use crate::command::node::network;
use crate::command::node::registry::{Answer, Question};
use crate::command::node::renewal;
use crate::command::registry::client::CallError;
use crate::os::host;
use crate::proto::certificate::Identity;
use crate::proto::crl::SignedCrl;
use crate::proto::mesh::address::{Country, is_of_underlay};
use crate::proto::mesh::node::Input;
use crate::proto::prefix::Prefix;
use crate::proto::registry::client::ReplyError;
use crate::proto::registry::parameters::Parameters;

impl Drive {
    pub(super) async fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Parameters(Ok(parameters)) => {
                self.is_unknown = false;
                self.set_parameters(*parameters).await;
            }
            Answer::Parameters(Err(error)) => {
                self.is_unknown = says_unknown(&error);
                tracing::info!("the registry gives no parameters: {error}");
                self.feed(Input::NotConfigured).await;
            }
            Answer::Bootstrap(Ok(peer)) => {
                self.is_unknown = false;
                match &peer {
                    Some((prefix, addresses)) => {
                        tracing::info!("the registry says that {prefix} is at {addresses}");
                    }
                    None => tracing::info!("the registry knows no peer now"),
                }
                self.feed(Input::Bootstrapped(peer)).await;
            }
            Answer::Bootstrap(Err(error)) => {
                self.is_unknown = says_unknown(&error);
                tracing::info!("the registry names no peer: {error}");
                self.feed(Input::Bootstrapped(None)).await;
            }
            Answer::Renewal(Ok(identity)) => self.take_identity(*identity),
            Answer::Renewal(Err(error)) => {
                self.is_unknown = says_unknown(&error);
                tracing::warn!("the certificate is not renewed yet: {error}");
                self.renewal.failed(error.to_string());
            }
            Answer::Country(Ok(Some(country))) => self.set_country(country).await,
            Answer::Country(Ok(None)) => {
                tracing::warn!(
                    "the network keeps tunnels within countries, and the registry cannot tell where \
                     this node is: give it --country"
                );
            }
            Answer::Country(Err(error)) => tracing::info!("the registry names no country: {error}"),
        }
    }

    /// Applies parameters while everything runs.
    async fn set_parameters(&mut self, parameters: Parameters) {
        if parameters != self.parameters {
            let old = std::mem::replace(&mut self.parameters, parameters);
            let new = &self.parameters;
            tracing::info!("the network's parameters changed");
            if network::babel_keys(&old) != network::babel_keys(new) {
                let _ = self.babel.set_keys(network::babel_keys(new)).await;
            }
            let timers = network::babel_tunnel(new);
            if network::babel_tunnel(&old) != timers {
                let _ = self.babel.set_defaults(timers).await;
            }
            self.tunnels.set_parameters(new, &self.preferences, self.clock.now());
            self.remember_parameters();
            if self.is_revoked() {
                self.renewal.hurry(self.clock.now());
            }
            self.ask_country();
        }
        self.reconfigure().await;
    }

    /// Applies a revocation list that came from another node.
    pub(super) fn take_crl(&mut self, crl: &SignedCrl) {
        let mut serials = network::revoked(&self.parameters);
        serials.extend(crl.serials());
        self.parameters.crl = serials.into_iter().collect();
        self.parameters.crl_signed = Some(crl.octets().to_vec());
        self.tunnels.set_parameters(&self.parameters, &self.preferences, self.clock.now());
        self.remember_parameters();
        if self.is_revoked() {
            self.renewal.hurry(self.clock.now());
        }
    }

    async fn reconfigure(&mut self) {
        let authority = &self.identity.authority;
        let configuration = network::configuration(&self.parameters, &self.preferences, authority);
        self.feed(Input::Configured(Box::new(configuration))).await;
    }

    /// Whether nobody in the network believes our certificate, as far as we know.
    pub(super) fn is_revoked(&self) -> bool {
        let serial = self.identity.certificate.serial();
        self.is_unknown
            || serial.is_some_and(|serial| network::revoked(&self.parameters).contains(&serial))
    }

    /// Asks for a new certificate when it is time.
    pub(super) fn renew(&mut self) {
        let is_due = self.renewal.begin(&self.identity, clock::unix_time(), self.clock.now());
        if is_due || self.is_revoked() {
            tracing::info!("asking the registry for a certificate that lasts longer");
            self.ask_registry(Question::Renewal);
        }
    }

    /// Shows another certificate from now on. Nothing that runs is disturbed by it.
    fn take_identity(&mut self, identity: Identity) {
        let unix = clock::unix_time();
        let end = |identity: &Identity| identity.authority.certificate().not_after();
        let is_same = identity.certificate.serial() == self.identity.certificate.serial();
        if is_same && end(&identity) == end(&self.identity) {
            if renewal::is_due(&identity.certificate, unix) {
                self.renewal.failed("the registry finds that it lasts long enough".to_owned());
            } else if renewal::is_due(identity.authority.certificate(), unix) {
                self.renewal.failed("the registry has no newer one of its authority".to_owned());
            }
            return;
        }
        if let Err(error) = self.tunnels.set_identity(&identity) {
            self.renewal.failed(format!("OpenSSL does not take the new certificate: {error}"));
            return;
        }
        let lasts = identity.certificate.not_after().min(end(&identity));
        tracing::info!("the certificate lasts until {lasts} now");
        self.renewal.succeeded(&self.identity, &identity, unix, self.clock.now());
        self.node.set_identity(identity.clone());
        self.identity = identity;
    }

    /// Asks where we are, if that matters and the operator did not say.
    pub(super) fn ask_country(&self) {
        let matters = !self.parameters.same_country.is_empty() && !self.given_country;
        if let Some(&address) = self.hosts.first().filter(|_| matters) {
            self.ask_registry(Question::Country(address));
        }
    }

    async fn set_country(&mut self, country: Country) {
        if self.preferences.country != Some(country) {
            tracing::info!("this node is in {}", country.as_str());
            self.preferences.country = Some(country);
            self.announce();
            self.reconfigure().await;
        }
    }

    /// Takes what a server says of our address. It is announced if this host has it, or if two peers say the
    /// same: one of them could have the whole network dial a victim.
    pub(super) fn learn_own_address(&mut self, peer: Prefix, address: IpAddr) {
        let address = address.to_canonical();
        let networks = network::own_networks(&self.parameters, &self.identity.authority);
        if !is_of_underlay(address) || networks.iter().any(|network| network.contains(address)) {
            tracing::info!("{peer} says that this node is reached at {address}, which cannot be");
            return;
        }
        let is_confirmed = self.observed.observe(peer, address);
        if is_confirmed || host::addresses().is_ok_and(|own| own.contains(&address)) {
            self.set_own_hosts(&[address]);
        }
    }

    /// Learns under which addresses this host is reached.
    pub(super) fn set_own_hosts(&mut self, hosts: &[IpAddr]) {
        if self.hosts != hosts {
            self.hosts = hosts.to_vec();
            self.ask_country();
        }
        self.announce();
    }
}

/// Whether the registry says that we are no member.
const fn says_unknown(error: &CallError) -> bool {
    matches!(error, CallError::Reply(ReplyError::Unknown))
}
