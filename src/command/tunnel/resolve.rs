//! Where a server is: from what an operator or a configuration file says to an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::command::Failure;
use crate::proto::endpoint::{Endpoint, Transport};
use crate::proto::tunnel::profile::Profile;

/// The first server of a configuration file that has an address.
pub async fn resolve_first(profile: &Profile) -> Result<Endpoint, Failure> {
    let mut failure = Failure::usage("name a server: HOST,PORT,PROTOCOL, or remote in the file");
    for remote in &profile.remotes {
        let protocol = remote.protocol.or(profile.protocol);
        let ipv6 = protocol.and_then(|protocol| protocol.ipv6);
        let transport = protocol.map_or(Transport::Udp, |protocol| protocol.transport);
        let port = remote.port.or(profile.port).unwrap_or(1194);
        let families: &[&str] = match ipv6 {
            None => &["", "6"],
            Some(false) => &[""],
            Some(true) => &["6"],
        };
        let transport = if transport == Transport::Udp { "udp" } else { "tcp" };
        for family in families {
            match resolve(&format!("{},{port},{transport}{family}", remote.host)).await {
                Ok(endpoint) => return Ok(endpoint),
                Err(error) => failure = error,
            }
        }
    }
    Err(failure)
}

/// An endpoint whose host may be a name.
pub async fn resolve(text: &str) -> Result<Endpoint, Failure> {
    let usage = |error| Failure::usage(format!("{text}: {error}"));
    let error = match text.parse::<Endpoint>() {
        Ok(endpoint) => return Ok(endpoint),
        Err(error) => error,
    };
    let Some((host, rest)) = text.split_once(',') else { return Err(usage(error)) };
    let parse_with = |address: IpAddr| format!("{address},{rest}").parse::<Endpoint>();
    // Wrong port or protocol: the name need not be asked for.
    let any = [parse_with(Ipv4Addr::LOCALHOST.into()), parse_with(Ipv6Addr::LOCALHOST.into())];
    if let [Err(error), Err(_)] = any {
        return Err(usage(error));
    }
    let found = tokio::net::lookup_host((host, 0)).await;
    let found =
        found.map_err(|error| Failure::failed(format!("cannot find host {host}: {error}")))?;
    let endpoint = found.filter_map(|address| parse_with(address.ip()).ok()).next();
    endpoint.ok_or_else(|| Failure::failed(format!("host {host} has no address for {rest}")))
}
