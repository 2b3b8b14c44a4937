//! What Prometheus reads: the network in numbers.

use std::fmt::Write;

use crate::os::database::Tables;
use crate::proto::version::NetworkVersion;

use super::certificates::certificate_of;
use super::network;
use super::refusal::{Given, Refusal};
use super::state::Registry;

/// The form of Prometheus' text.
pub(super) const FORM: &str = "text/plain; version=0.0.4";

impl Registry {
    pub(super) fn metrics(&self) -> Given {
        let mut text = String::new();
        let name = "re6st_registry_requests_total";
        let _ = writeln!(text, "# TYPE {name} counter");
        for (status, count) in self.requests.counts() {
            let _ = writeln!(text, "{name}{{status=\"{status}\"}} {count}");
        }
        self.read(|tables| self.gauges(tables, &mut text))?;
        Ok(text.into_bytes())
    }

    fn gauges(&self, tables: &Tables<'_>, text: &mut String) -> Result<(), Refusal> {
        let mut gauge = |name: &str, value: u64| {
            let _ = writeln!(text, "# TYPE re6st_{name} gauge\nre6st_{name} {value}");
        };
        let leaves = tables.leaves()?;
        let certificates: Vec<_> = leaves.iter().filter_map(certificate_of).collect();
        gauge("registry_nodes", certificates.len() as u64);
        let free = leaves.iter().filter(|leaf| leaf.certificate.is_none()).count();
        gauge("registry_free_prefixes", free as u64);
        gauge("registry_tokens", tables.tokens()?.len() as u64);
        gauge("registry_revoked", tables.revoked()?.len() as u64);
        let now = Self::unix_time();
        let expired = certificates.iter().filter(|certificate| certificate.not_after() < now);
        gauge("registry_expired", expired.count() as u64);
        let authority = self.issuer.authority();
        let version = NetworkVersion::parse(&network::version(tables)?, authority);
        gauge("network_version", version.map_or(0, |version| version.number()));
        gauge("registry_clock_implausible", u64::from(self.implausible().is_some()));
        gauge("authority_end_seconds", self.authority().certificate().not_after().as_secs());
        Ok(())
    }
}
