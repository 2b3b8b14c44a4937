//! One router for each table of routes: who owns a table is known by a socket that dies with its process.
//!
//! The socket is an abstract one: its names are those of one network namespace, as routes are, and the
//! kernel gives a name free when its process ends, however it ends. A lock file would do neither:
//! namespaces share folders, and containers that share a namespace have folders of their own.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use nix::sys::socket::{getsockopt, sockopt};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::os::host;

/// The right to Babel's routes in some tables, until this is dropped.
#[derive(Debug)]
pub struct RouteOwner {
    names: Vec<UnixListener>,
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
        Ok(Self { names: names?.into_iter().flatten().collect() })
    }

    /// Whether other routers live in this network namespace, with other tables.
    pub fn has_company(&self) -> bool {
        let sockets = fs::read_to_string(SOCKETS).unwrap_or_default();
        listening(&sockets) > self.names.len()
    }
}

/// How many tables are claimed, by the kernel's list of sockets: number, references, protocol, flags, type,
/// state, inode, name.
fn listening(sockets: &str) -> usize {
    let is_claim = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, flags, _, _, _, name] = fields.as_slice() else { return false };
        let flags = u32::from_str_radix(flags, 16).unwrap_or(0);
        flags & LISTENS != 0 && name.strip_prefix('@').is_some_and(|name| name.starts_with(PREFIX))
    };
    sockets.lines().filter(is_claim).count()
}

/// `None` if the name is taken by somebody who has no say in routes: anyone may open such a socket.
fn claim(table: u32) -> Result<Option<UnixListener>, ClaimError> {
    let name = format!("{PREFIX}{table}");
    match UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match owner(&name) {
            Some((process, user)) if user != 0 && user != host::user() => {
                tracing::warn!("process {process} of user {user} pretends to own table {table}");
                Ok(None)
            }
            owner => Err(ClaimError::Owned { table, process: owner.map(|(process, _)| process) }),
        },
        // As under a service manager that allows no such sockets: it starts no second router either.
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            tracing::warn!(
                "cannot make sure that no other Babel router owns table {table}: {error}"
            );
            Ok(None)
        }
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

const PREFIX: &str = "re6st/babel-routes/";
/// The kernel's list of Unix sockets, of the thread's network namespace.
const SOCKETS: &str = "/proc/thread-self/net/unix";
/// The flag of a socket that takes connections.
const LISTENS: u32 = 0x0001_0000;

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

    #[test]
    fn only_who_listens_owns() {
        let sockets = "\
Num       RefCount Protocol Flags    Type St Inode Path
ffff8880: 00000002 00000000 00010000 0001 01 31415 @re6st/babel-routes/254
ffff8881: 00000003 00000000 00000000 0001 02 31416 @re6st/babel-routes/254
ffff8882: 00000002 00000000 00010000 0001 01 31417 /run/other.sock
ffff8883: 00000002 00000000 00010000 0001 01 31418 @re6st/babel-routes/10
ffff8884: 00000003 00000000 00000000 0001 03 31419
";
        assert_eq!(listening(sockets), 2);
    }
}
