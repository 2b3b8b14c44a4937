//! The options of `re6st node up`, and what they mean once they are known to make sense.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::command::Failure;
use crate::command::node::network::Preferences;
use crate::proto::endpoint::{Endpoint, Transport};
use crate::proto::mesh::address::{Addresses, Country};
use crate::proto::prefix::Prefix;
use crate::proto::registry::url::RegistryUrl;

/// What `--ip` takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Announced {
    /// This address.
    Address(IpAddr),
    /// What others see.
    Any,
}

impl FromStr for Announced {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "any" => Ok(Self::Any),
            "upnp" => {
                Err("no router is asked by UPnP to forward ports: forward the ports of --pp by \
                 hand and give the router's address, or leave --ip out and open tunnels only")
            }
            _ => text.parse().map(Self::Address).map_err(|_| "no IP address, nor the word any"),
        }
    }
}

/// Options of `re6st node up`
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Where the registry is: `http://HOST[:PORT][/PATH]`
    #[arg(long, value_name = "URL")]
    pub registry: RegistryUrl,
    /// The network's authority
    #[arg(long, value_name = "FILE", default_value = "ca.crt")]
    pub ca: PathBuf,
    /// This node's certificate
    #[arg(long, value_name = "FILE", default_value = "cert.crt")]
    pub cert: PathBuf,
    /// The key of this node's certificate
    #[arg(long, value_name = "FILE", default_value = "cert.key")]
    pub key: PathBuf,
    /// An address under which others reach this host; without it, or with the word any, what the
    /// others see
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Vec<Announced>,
    /// Accept tunnels on this port; PROTO is udp, tcp, udp6 or tcp6 [default: 1194 udp and 1194 tcp]
    #[arg(long, num_args = 2, value_names = ["PORT", "PROTO"], action = clap::ArgAction::Append)]
    pub pp: Vec<String>,
    /// Neither accept nor open tunnels over this protocol: udp, tcp, udp6, tcp6, or none of them
    #[arg(long, value_name = "PROTO", num_args = 1..)]
    pub disable_proto: Vec<String>,
    /// How many tunnels to open, if the network's number does not suit
    #[arg(long, value_name = "NUMBER")]
    pub client_count: Option<u32>,
    /// How many tunnels to accept on each port, if the network's number does not suit
    #[arg(long, value_name = "NUMBER")]
    pub max_clients: Option<u32>,
    /// The interface that gets this node's address
    #[arg(long, value_name = "INTERFACE", default_value = "lo")]
    pub main_interface: String,
    /// The country that this node is in, like FR, for networks that keep tunnels within countries;
    /// without it the registry is asked
    #[arg(long, value_name = "CODE", value_parser = country)]
    pub country: Option<Country>,
    /// Look for nodes of the network on this LAN, and route to them directly
    #[arg(long, value_name = "INTERFACE")]
    pub interface: Vec<String>,
    /// A node to have a tunnel with before all others: its name, like 1/16
    #[arg(long, value_name = "NODE")]
    pub neighbour: Vec<Prefix>,
    /// The user that the registry runs as on the host of its own node, if it is neither root nor this node's: others
    /// may not have this node ask the network
    #[arg(long, value_name = "NAME")]
    pub registry_user: Option<String>,
    /// Let packets out of tunnels go wherever this host has a route. Without it they reach other tunnels, the LANs
    /// of --interface and this node's own prefix only
    #[arg(long)]
    pub forward: bool,
    /// The folder for what survives restarts
    #[arg(long, value_name = "DIR", default_value = "/var/lib/re6stnet")]
    pub state: PathBuf,
    /// The folder for the control socket
    #[arg(long, value_name = "DIR", default_value = "/run/re6stnet")]
    pub run: PathBuf,
    /// The folder in which stock keeps logs; this program logs on standard error only
    #[arg(long, value_name = "DIR", hide = true)]
    pub log: Option<PathBuf>,
    /// How much to log: 0 errors, 1 warnings, 2 what happens, 3 and 4 details
    #[arg(short, long, value_name = "LEVEL", default_value_t = 2, num_args = 0..=1,
          default_missing_value = "3")]
    pub verbose: u8,
}

/// Where tunnels are accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Port {
    /// The number.
    pub number: u16,
    /// UDP or TCP.
    pub transport: Transport,
    /// Over IPv6 instead of IPv4.
    pub ipv6: bool,
}

impl Port {
    fn parse(number: &str, protocol: &str) -> Result<Self, Failure> {
        let number = number.parse().ok().filter(|&number| number != 0).ok_or_else(|| {
            Failure::usage(format!("--pp: {number} is no port; give a number from 1 to 65535"))
        })?;
        let (transport, ipv6) = match protocol {
            "udp" | "udp4" => (Transport::Udp, false),
            "tcp" | "tcp4" => (Transport::Tcp, false),
            "udp6" => (Transport::Udp, true),
            "tcp6" => (Transport::Tcp, true),
            other => {
                return Err(Failure::usage(format!(
                    "--pp: {other} is no protocol; give udp, tcp, udp6 or tcp6"
                )));
            }
        };
        Ok(Self { number, transport, ipv6 })
    }

    /// The word for its protocol.
    pub const fn protocol(self) -> &'static str {
        match (self.transport, self.ipv6) {
            (Transport::Udp, false) => "udp",
            (Transport::Tcp, false) => "tcp",
            (Transport::Udp, true) => "udp6",
            (Transport::Tcp, true) => "tcp6",
        }
    }

    /// The socket address to listen on.
    pub const fn bind(self) -> SocketAddr {
        let any = if self.ipv6 {
            IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)
        } else {
            IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)
        };
        SocketAddr::new(any, self.number)
    }
}

impl Options {
    /// The addresses that the operator gives; none if others are to see them.
    pub fn given_addresses(&self) -> Vec<IpAddr> {
        let address = |announced: &Announced| match announced {
            Announced::Address(address) => Some(*address),
            Announced::Any => None,
        };
        self.ip.iter().filter_map(address).collect()
    }

    /// Where to accept tunnels.
    pub fn ports(&self) -> Result<Vec<Port>, Failure> {
        let disabled = self.disabled()?;
        let mut ports = Vec::new();
        for pair in self.pp.chunks(2) {
            if let [number, protocol] = pair {
                ports.push(Port::parse(number, protocol)?);
            }
        }
        if ports.is_empty() {
            ports = DEFAULT_PORTS.to_vec();
        }
        ports.retain(|port| !disabled.iter().any(|word| word == port.protocol()));
        Ok(ports)
    }

    /// What the operator prefers to the network's parameters.
    pub fn preferences(&self) -> Result<Preferences, Failure> {
        Ok(Preferences {
            client_count: self.client_count,
            max_clients: self.max_clients,
            neighbours: self.neighbour.clone(),
            disabled: self.disabled()?,
            country: self.country,
        })
    }

    fn disabled(&self) -> Result<Vec<String>, Failure> {
        let mut disabled = Vec::new();
        for word in &self.disable_proto {
            match word.as_str() {
                "none" => {}
                "udp" | "tcp" | "udp6" | "tcp6" => disabled.push(word.clone()),
                "udp4" | "tcp4" => disabled.push(word[..3].to_owned()),
                other => {
                    return Err(Failure::usage(format!(
                        "--disable-proto: {other} is no protocol; give udp, tcp, udp6, tcp6 or none"
                    )));
                }
            }
        }
        Ok(disabled)
    }
}

fn country(text: &str) -> Result<Country, &'static str> {
    Country::parse(&text.to_uppercase()).ok_or("a country is two letters, like FR")
}

/// What others are told: each of our ports at each of our addresses of its family.
pub fn addresses(ports: &[Port], hosts: &[IpAddr]) -> Addresses {
    let all = hosts.iter().flat_map(|&address| {
        let ours = ports.iter().filter(move |port| port.ipv6 == address.is_ipv6());
        ours.map(move |port| Endpoint { address, port: port.number, transport: port.transport })
    });
    Addresses::new(all)
}

/// Without `--pp`.
const DEFAULT_PORTS: [Port; 2] = [
    Port { number: 1194, transport: Transport::Udp, ipv6: false },
    Port { number: 1194, transport: Transport::Tcp, ipv6: false },
];

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        options: Options,
    }

    fn options(words: &str) -> Options {
        let words = format!("up --registry http://r/ {words}");
        Program::try_parse_from(words.split_whitespace()).unwrap().options
    }

    #[test]
    fn udp_and_tcp_are_accepted_unless_disabled() {
        let shown = |words: &str| {
            let ports = options(words).ports().unwrap();
            let words: Vec<_> =
                ports.iter().map(|port| format!("{} {}", port.number, port.protocol())).collect();
            words.join(", ")
        };
        assert_eq!(shown(""), "1194 udp, 1194 tcp");
        assert_eq!(shown("--disable-proto none"), "1194 udp, 1194 tcp");
        assert_eq!(shown("--disable-proto udp"), "1194 tcp");
        assert_eq!(shown("--pp 1195 udp --pp 1196 tcp6"), "1195 udp, 1196 tcp6");
    }

    #[test]
    fn a_country_is_two_letters() {
        assert_eq!(options("--country fr").country, Country::parse("FR"));
        let words = ["up", "--registry", "http://r/", "--country", "France"];
        let refused = Program::try_parse_from(words).err().unwrap().to_string();
        assert!(refused.contains("a country is two letters"), "{refused}");
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let failure = options("--pp 0 udp").ports().unwrap_err();
        assert!(failure.to_string().contains("0 is no port"), "{failure}");
        let failure = options("--pp 1 quic").ports().unwrap_err();
        assert!(failure.to_string().contains("quic is no protocol"), "{failure}");
        let failure = options("--disable-proto ipx").preferences().unwrap_err();
        assert!(failure.to_string().contains("ipx is no protocol"), "{failure}");
    }

    #[test]
    fn others_are_told_each_port_at_each_address_of_its_family() {
        let ports = options("--pp 1194 udp --pp 1194 udp6").ports().unwrap();
        let hosts = ["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let told = addresses(&ports, &hosts).to_string();
        assert_eq!(told, "10.0.0.1,1194,udp;2001:db8::1,1194,udp6");
    }
}
