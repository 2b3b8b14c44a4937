//! ICMP echo: asks an address whether it is there, and how long that takes.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};

/// Sockets for both families, opened when they are first needed.
pub struct Prober {
    ipv4: io::Result<Client>,
    ipv6: io::Result<Client>,
    identifier: PingIdentifier,
    sequence: AtomicU16,
}

/// Why no probe could be sent: the machine's fault, not the target's.
#[derive(Debug, thiserror::Error)]
#[error("cannot send ICMP echo requests: {0}")]
pub struct ProbeError(String);

impl Prober {
    /// Opens the sockets; one family that fails does not keep the other from working. `identifier` tells
    /// this prober's replies from those of other processes.
    pub fn open(identifier: u16) -> Self {
        // Datagram sockets lose nothing in bursts, but must be allowed; raw ones are the way out.
        let open = |kind| Client::new(&Config::builder().kind(kind).build());
        Self {
            ipv4: open(ICMP::V4),
            ipv6: open(ICMP::V6),
            identifier: PingIdentifier(identifier),
            sequence: AtomicU16::new(0),
        }
    }

    /// One probe: the round trip if `address` itself answered within `patience`, `None` if it did not.
    pub async fn probe(
        &self,
        address: IpAddr,
        patience: Duration,
    ) -> Result<Option<Duration>, ProbeError> {
        let client = if address.is_ipv4() { &self.ipv4 } else { &self.ipv6 };
        let client = client.as_ref().map_err(|error| ProbeError(error.to_string()))?;
        let mut pinger = client.pinger(address, self.identifier).await;
        pinger.timeout(patience);
        // Of its own for every probe, so that a late reply is never taken for that of another.
        let sequence = PingSequence(self.sequence.fetch_add(1, Ordering::Relaxed));
        match pinger.ping(sequence, &[0x72; 56]).await {
            Ok((packet, rtt)) if is_reply(&packet, address) => Ok(Some(rtt)),
            // "Unreachable" and the like, from somebody on the way: no answer of the target.
            Ok(_) | Err(SurgeError::Timeout { .. } | SurgeError::IdenticalRequests { .. }) => {
                Ok(None)
            }
            // No route, or one that says "prohibited", or a filter: not reached, and asking on is right.
            Err(SurgeError::IOError(_)) => Ok(None),
            Err(error) => Err(ProbeError(error.to_string())),
        }
    }
}

/// Whether the target itself says that it is there. The library hands out ICMP errors as replies, too.
fn is_reply(packet: &IcmpPacket, address: IpAddr) -> bool {
    match packet {
        IcmpPacket::V4(reply) => {
            reply.get_icmp_type().0 == ICMPV4_ECHO_REPLY && address == reply.get_source()
        }
        IcmpPacket::V6(reply) => {
            reply.get_icmpv6_type().0 == ICMPV6_ECHO_REPLY && address == reply.get_source()
        }
    }
}

/// RFC 792.
const ICMPV4_ECHO_REPLY: u8 = 0;

/// RFC 4443 §4.2.
const ICMPV6_ECHO_REPLY: u8 = 129;
