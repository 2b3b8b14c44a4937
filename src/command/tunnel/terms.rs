//! What a listener is to be, and what of it may change while it is open.

use std::net::SocketAddr;
use std::time::Duration;

use crate::command::tunnel::particulars::Particulars;
use crate::proto::endpoint::Transport;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::tls::TlsContext;

/// Where clients may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenPort {
    /// `0.0.0.0:1194` for every address, `[::]:1194` for every IPv6 address.
    pub bind: SocketAddr,
    /// Over what.
    pub transport: Transport,
}

/// What a listener is to be.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    /// Where clients may come, all to the same house.
    pub ports: Vec<ListenPort>,
    /// Who we are, and whose certificates we believe.
    pub context: TlsContext,
    /// Clients beyond so many are refused.
    pub clients_max: usize,
    /// What the clients' interfaces are called: this, then the client's name, `re6st-1-16`.
    pub interface_prefix: String,
    /// How each tunnel is to be.
    pub particulars: Particulars,
}

impl ListenSettings {
    /// What a stock network has: 20 clients, every cipher that encrypts, 60 s, an hour for keys.
    pub fn new(ports: Vec<ListenPort>, context: TlsContext) -> Self {
        Self {
            ports,
            context,
            clients_max: 20,
            interface_prefix: "re6st-".to_owned(),
            particulars: Particulars::default(),
        }
    }
}

/// What may change while the port is open. Tunnels that are up keep what they have.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Clients beyond so many are refused.
    pub clients_max: usize,
    /// What we accept, the preferred first.
    pub ciphers: Vec<Cipher>,
    /// A tunnel is over when nothing authentic was heard for so long.
    pub ping_exit: Duration,
}
