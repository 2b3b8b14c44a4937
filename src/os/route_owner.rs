//! One router for each table of routes: who owns a table is known by a socket that dies with its process.
//!
//! The socket is an abstract one: its names are those of one network namespace, as routes are, and the
//! kernel gives a name free when its process ends, however it ends. A lock file would do neither:
//! namespaces share folders, and containers that share a namespace have folders of their own.

use std::collections::BTreeSet;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use nix::sys::socket::{getsockopt, sockopt};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::os::host;

/// The right to Babel's routes in some tables, until this is dropped.
#[derive(Debug)]
pub struct RouteOwner {
    _names: Vec<UnixListener>,
}

/// Why there is no such right.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another router lives.
    #[error("another Babel router{} owns the routes of table {table}", process_words(*process))]
    Owned {
        /// The table.
        table: u32,
        /// Its process, if that can be told.
        process: Option<i32>,
    },
    /// The kernel refuses the socket.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl RouteOwner {
    /// Claims all of these tables, or none.
    pub fn claim(tables: &BTreeSet<u32>) -> Result<Self, ClaimError> {
        let names: Result<Vec<_>, _> = tables.iter().map(|&table| claim(table)).collect();
        Ok(Self { _names: names?.into_iter().flatten().collect() })
    }
}

/// `None` if the name is taken by somebody who has no say in routes: anyone may open such a socket.
fn claim(table: u32) -> Result<Option<UnixListener>, ClaimError> {
    let name = format!("re6st/babel-routes/{table}");
    match UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match owner(&name) {
            Some((process, user)) if user != 0 && user != host::user() => {
                tracing::warn!("process {process} of user {user} pretends to own table {table}");
                Ok(None)
            }
            owner => Err(ClaimError::Owned { table, process: owner.map(|(process, _)| process) }),
        },
        Err(error) => Err(error.into()),
    }
}

/// The process that listens on an abstract socket, and its user.
fn owner(name: &str) -> Option<(i32, u32)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).ok()?;
    // It takes no connections: once its queue is full, connecting would wait for ever.
    socket.set_nonblocking(true).ok()?;
    socket.connect(&SockAddr::unix(format!("\0{name}")).ok()?).ok()?;
    let peer = getsockopt(&socket, sockopt::PeerCredentials).ok()?;
    Some((peer.pid(), peer.uid()))
}

fn process_words(process: Option<i32>) -> String {
    // 0 is a process of another PID namespace.
    process.filter(|&id| id > 0).map(|id| format!(" (process {id})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_one_owner_until_that_is_gone() {
        // Numbers that nobody else on this machine uses.
        let table = 0x7200_0000 + std::process::id();
        let tables = BTreeSet::from([table, table + 0x0100_0000]);
        let first = RouteOwner::claim(&tables).unwrap();
        let refused = RouteOwner::claim(&BTreeSet::from([table])).unwrap_err();
        let (table, process) = (table, std::process::id());
        let words =
            format!("another Babel router (process {process}) owns the routes of table {table}");
        assert_eq!(refused.to_string(), words);
        RouteOwner::claim(&BTreeSet::from([table + 1])).unwrap();
        drop(first);
        RouteOwner::claim(&tables).unwrap();
    }
}
