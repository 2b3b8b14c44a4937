//! Where servers are: from what an operator or a configuration file says to addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::command::Failure;
use crate::proto::endpoint::{Endpoint, EndpointError, Transport};
use crate::proto::random::Random;
use crate::proto::tunnel::profile::{Profile, Remote};

/// The servers of a configuration file in the order in which they are to be tried, as [`resolve`] takes
/// them: each in both families unless the file names one.
pub fn servers(profile: &Profile, random: &mut Random) -> Vec<String> {
    let mut remotes: Vec<&Remote> = profile.remotes.iter().collect();
    if profile.is_random {
        random.shuffle(&mut remotes);
    }
    remotes.into_iter().flat_map(|remote| families(remote, profile)).collect()
}

fn families(remote: &Remote, profile: &Profile) -> Vec<String> {
    let protocol = remote.protocol.or(profile.protocol);
    let ipv6 = protocol.and_then(|protocol| protocol.ipv6);
    let transport = protocol.map_or(Transport::Udp, |protocol| protocol.transport);
    let transport = if transport == Transport::Udp { "udp" } else { "tcp" };
    let port = remote.port.or(profile.port).unwrap_or(1194);
    let families: &[&str] = match (ipv6, remote.host.parse::<IpAddr>()) {
        (Some(false), _) | (None, Ok(IpAddr::V4(_))) => &[""],
        (Some(true), _) | (None, Ok(IpAddr::V6(_))) => &["6"],
        (None, Err(_)) => &["", "6"],
    };
    families.iter().map(|family| format!("{},{port},{transport}{family}", remote.host)).collect()
}

/// Whether it is a server at all: an endpoint whose host may be a name.
pub fn check(text: &str) -> Result<(), Failure> {
    let Err(error) = text.parse::<Endpoint>() else { return Ok(()) };
    let usage = |error| Err(Failure::usage(format!("{text}: {error}")));
    let Some((host, rest)) = text.split_once(',') else { return usage(error) };
    if host.parse::<IpAddr>().is_ok() {
        return usage(error);
    }
    let any = [parse(Ipv4Addr::LOCALHOST.into(), rest), parse(Ipv6Addr::LOCALHOST.into(), rest)];
    match any {
        [Err(error), Err(_)] => usage(error),
        _ => Ok(()),
    }
}

/// Looks its name up.
pub async fn resolve(text: &str) -> Result<Endpoint, Failure> {
    check(text)?;
    if let Ok(endpoint) = text.parse() {
        return Ok(endpoint);
    }
    let (host, rest) = text.split_once(',').unwrap_or((text, ""));
    let found = tokio::net::lookup_host((host, 0)).await;
    let found =
        found.map_err(|error| Failure::failed(format!("cannot find host {host}: {error}")))?;
    let endpoint = found.filter_map(|address| parse(address.ip(), rest).ok()).next();
    endpoint.ok_or_else(|| Failure::failed(format!("host {host} has no address for {rest}")))
}

fn parse(address: IpAddr, rest: &str) -> Result<Endpoint, EndpointError> {
    format!("{address},{rest}").parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::tunnel::ovpn::parse;

    fn of(file: &str) -> Vec<String> {
        let profile = Profile::read(&parse(file.as_bytes()).unwrap()).unwrap();
        servers(&profile, &mut Random::from_number(1))
    }

    #[test]
    fn what_is_no_server_is_asked_wrongly() {
        for text in
            ["192.0.2.1", "192.0.2.1,1194", "192.0.2.1,1194,udp6", "host,0,udp", "host,1194,sctp"]
        {
            assert!(check(text).is_err_and(|failure| failure.exit_code() == 2), "{text}");
        }
        for text in ["192.0.2.1,1,tcp", "2001:db8::1,1,udp6", "host,1194,udp", "host,1194,tcp6"] {
            assert!(check(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn every_server_of_a_file_is_tried_in_both_families_or_in_the_one_that_is_named() {
        let file =
            "remote 192.0.2.1\nremote 2001:db8::1 7 tcp\nremote a 8\nremote b 9 udp6\nport 5";
        let wanted = ["192.0.2.1,5,udp", "2001:db8::1,7,tcp6", "a,8,udp", "a,8,udp6", "b,9,udp6"];
        assert_eq!(of(file), wanted);
        assert!(of("client").is_empty());
    }

    #[test]
    fn the_order_is_drawn_by_lot_if_the_file_says_so() {
        let file: String = (1..=9).map(|n| format!("remote 192.0.2.{n}\n")).collect();
        let (said, mut drawn) = (of(&file), of(&format!("{file}remote-random")));
        assert_ne!(drawn, said);
        drawn.sort();
        assert_eq!(drawn, said);
    }
}
