//! Which user owns a socket of this host, from the kernel's tables in `/proc/net`.
//!
//! A socket whose process closed it is listed with uid 0 and inode 0 while its connection ends. It has no
//! owner here: otherwise any user became root by closing early.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::unistd::{Gid, User, getgrouplist};

/// The owner of the client's end of a TCP connection between two addresses of this host; `None` if it is
/// closed or not here.
pub fn of_tcp_client(client: SocketAddr, server: SocketAddr) -> io::Result<Option<u32>> {
    let wanted = (canonical(client), canonical(server));
    let rows = rows(&["tcp", "tcp6"])?;
    let row = rows.into_iter().find(|row| (row.local, row.remote) == wanted);
    Ok(row.filter(|row| row.inode != 0).map(|row| row.uid))
}

/// The owners of all IPv6 UDP sockets that may have sent a datagram from `[::1]:port`: bound to that address,
/// or to any.
pub fn of_udp_sender(port: u16) -> io::Result<Vec<u32>> {
    let is_sender = |row: &Row| {
        let address = row.local.ip();
        row.local.port() == port && (address == Ipv6Addr::LOCALHOST || address.is_unspecified())
    };
    Ok(rows(&["udp6"])?.into_iter().filter(is_sender).map(|row| row.uid).collect())
}

/// The name of a user, or its number if it has none.
pub fn name(uid: u32) -> String {
    let user = User::from_uid(uid.into()).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

/// Whether a user is in a group.
pub fn is_in_group(uid: u32, gid: u32) -> bool {
    let Ok(Some(user)) = User::from_uid(uid.into()) else { return false };
    let Ok(name) = std::ffi::CString::new(user.name) else { return false };
    let groups = getgrouplist(&name, user.gid).unwrap_or_default();
    groups.contains(&Gid::from_raw(gid))
}

/// One socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    uid: u32,
    /// 0: no process has it open.
    inode: u64,
}

fn rows(tables: &[&str]) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for table in tables {
        // Of the thread: its network namespace may be another one than the process's first thread has.
        match fs::read_to_string(format!("/proc/thread-self/net/{table}")) {
            Ok(text) => rows.extend(text.lines().skip(1).filter_map(row)),
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}

/// `sl: LOCAL REMOTE STATE TX:RX TR:WHEN RETRANSMITS UID TIMEOUT INODE …`
fn row(line: &str) -> Option<Row> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (address(words.next()?)?, address(words.next()?)?);
    let uid = words.nth(4)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    Some(Row { local, remote, uid, inode })
}

/// `0100007F:0050`: 32-bit words in the host's order of bytes, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let mut bytes = Vec::with_capacity(16);
    for word in address.as_bytes().chunks(8) {
        let word = u32::from_str_radix(str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let address = match <[u8; 4]>::try_from(&bytes[..]) {
        Ok(bytes) => IpAddr::V4(Ipv4Addr::from(bytes)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[..]).ok()?)),
    };
    Some(canonical(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?)))
}

/// Without scope and flow label; IPv4 as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn tcp_client_has_an_owner_until_it_closes() {
        let ours = nix::unistd::geteuid().as_raw();
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let server = listener.local_addr().unwrap();
            let client = TcpStream::connect(server).unwrap();
            let from = client.local_addr().unwrap();
            let accepted = listener.accept().unwrap();
            assert_eq!(of_tcp_client(from, server).unwrap(), Some(ours));
            drop(client);
            assert_eq!(of_tcp_client(from, server).unwrap(), None, "closed");
            drop(accepted);
        }
        let nobody = "127.0.0.1:1".parse().unwrap();
        assert_eq!(of_tcp_client(nobody, nobody).unwrap(), None);
    }

    #[test]
    fn udp_sender_has_an_owner() {
        let ours = nix::unistd::geteuid().as_raw();
        for address in ["[::1]:0", "[::]:0"] {
            let Ok(socket) = UdpSocket::bind(address) else { continue };
            let port = socket.local_addr().unwrap().port();
            assert_eq!(of_udp_sender(port).unwrap(), [ours]);
            drop(socket);
            assert_eq!(of_udp_sender(port).unwrap(), [0; 0], "closed");
        }
    }

    #[test]
    fn table_rows_are_read() {
        let line = "   0: 0100007F:0050 0100007F:B7D2 01 00000000:00000000 00:00000000 00000000  1000 \
                    0 12345 1 0000000000000000 20 4 30 10 -1";
        let read = row(line).unwrap();
        if cfg!(target_endian = "little") {
            assert_eq!(read.local, "127.0.0.1:80".parse().unwrap());
            assert_eq!(read.remote, "127.0.0.1:47058".parse().unwrap());
        }
        assert_eq!((read.uid, read.inode), (1_000, 12_345));
        for length in 0..line.find("12345").unwrap() {
            assert_eq!(row(&line[..length]), None, "{length} bytes");
        }
    }
}
