//! Where a tunnel can be reached: `203.0.113.7,1194,udp`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What carries a tunnel's packets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// One packet a datagram.
    Udp,
    /// Each packet behind its length, two octets.
    Tcp,
}

/// An address, a port and a transport.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// The host.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The transport.
    #[serde(rename = "protocol")]
    pub transport: Transport,
}

/// Why a text is not an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EndpointError {
    /// Not three fields.
    #[error("an endpoint is written ADDRESS,PORT,PROTOCOL, for example 203.0.113.7,1194,udp")]
    Fields,
    /// The first is no address.
    #[error("the first field of an endpoint is an IPv4 or IPv6 address")]
    Address,
    /// The second is no port.
    #[error("the second field of an endpoint is a port between 1 and 65535")]
    Port,
    /// The third is no transport.
    #[error("the third field of an endpoint is udp, tcp, udp6 or tcp6")]
    Transport,
    /// IPv4 with `udp6` or `tcp6`, or the other way round.
    #[error("the address of an endpoint is not of its protocol's family")]
    Family,
}

impl Endpoint {
    /// Address and port.
    pub const fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// The word of re6st's manual: `udp`, `tcp`, `udp6` or `tcp6`.
    pub const fn protocol(&self) -> &'static str {
        match (self.transport, self.address) {
            (Transport::Udp, IpAddr::V4(_)) => "udp",
            (Transport::Tcp, IpAddr::V4(_)) => "tcp",
            (Transport::Udp, IpAddr::V6(_)) => "udp6",
            (Transport::Tcp, IpAddr::V6(_)) => "tcp6",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", self.address, self.port, self.protocol())
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let mut fields = text.split(',');
        let (Some(address), Some(port), Some(protocol), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(EndpointError::Fields);
        };
        let address: IpAddr = address.parse().map_err(|_| EndpointError::Address)?;
        let port = port.parse().ok().filter(|&port| port != 0).ok_or(EndpointError::Port)?;
        let (transport, ipv6) = match protocol {
            "udp" => (Transport::Udp, address.is_ipv6()),
            "tcp" => (Transport::Tcp, address.is_ipv6()),
            "udp4" => (Transport::Udp, false),
            "tcp4" => (Transport::Tcp, false),
            "udp6" => (Transport::Udp, true),
            "tcp6" => (Transport::Tcp, true),
            _ => return Err(EndpointError::Transport),
        };
        if ipv6 != address.is_ipv6() {
            return Err(EndpointError::Family);
        }
        Ok(Self { address, port, transport })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_read_back() {
        for text in ["203.0.113.7,1194,udp", "203.0.113.7,1194,tcp", "2001:db8::1,1,udp6"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_endpoint_says_why() {
        let error = |text: &str| text.parse::<Endpoint>().unwrap_err();
        assert_eq!(error("203.0.113.7,1194"), EndpointError::Fields);
        assert_eq!(error("203.0.113.7,1194,udp,fr"), EndpointError::Fields);
        assert_eq!(error("host,1194,udp"), EndpointError::Address);
        assert_eq!(error("203.0.113.7,0,udp"), EndpointError::Port);
        assert_eq!(error("203.0.113.7,1194,quic"), EndpointError::Transport);
        assert_eq!(error("203.0.113.7,1194,udp6"), EndpointError::Family);
    }
}
