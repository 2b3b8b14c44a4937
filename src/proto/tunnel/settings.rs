//! What both ends tell each other in words: option strings, peer information, push requests and replies.

use std::net::IpAddr;

use crate::proto::endpoint::Transport;
use crate::proto::tunnel::assigned::Assigned;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::kind::{Device, Role, Underlay};

/// Both ends can use data packets V2.
const PROTO_DATA_V2: u32 = 1 << 1;
/// Both ends can export keys from TLS.
const PROTO_TLS_EXPORT: u32 = 1 << 3;

/// The octets of the largest packet of a tunnel's interface, as stock networks have them.
pub const fn mtu(underlay: Underlay, cipher: Cipher) -> u32 {
    match (underlay.transport, underlay.ipv6, cipher) {
        (Transport::Tcp, _, _) => 1500,
        (Transport::Udp, false, Cipher::None) => 1372,
        (Transport::Udp, true, Cipher::None) => 1390,
        // OpenVPN 2.4 drops what is larger than its client's interface, and says so nowhere.
        (Transport::Udp, false, _) => 1348,
        (Transport::Udp, true, _) => 1366,
    }
}

/// The octets of the largest packet when datagrams have `link_mtu`, as OpenVPN 2.4 computes it: a server
/// takes the most that any cipher could need off, a client what its own does, which is overstated.
pub const fn mtu_of_link(link_mtu: u32, role: Role, cipher: Cipher) -> u32 {
    let sealing = match (role, cipher) {
        (Role::Server, _) => 121,
        (Role::Client, Cipher::None) => 28,
        (Role::Client, _) => 52,
    };
    // 2.4 keeps these for Ethernet headers.
    link_mtu.saturating_sub(sealing + 32)
}

/// The option string that OpenVPN 2.4 sends in a stock network. Peers compare it with theirs and warn.
pub fn option_string(role: Role, underlay: Underlay, device: Device, encrypted: bool) -> String {
    let client = role == Role::Client;
    let (link_mtu, tun_mtu) = match (underlay.transport, underlay.ipv6, client) {
        (Transport::Udp, false, true) => (1432, 1311),
        (Transport::Udp, false, false) => (1525, 1404),
        (Transport::Udp, true, true) => (1450, 1329),
        (Transport::Udp, true, false) => (1543, 1422),
        (Transport::Tcp, _, _) => (if encrypted { 1575 } else { 1559 }, 1532),
    };
    let protocol = match (underlay.transport, client) {
        (Transport::Udp, _) => "UDPv4",
        (Transport::Tcp, true) => "TCPv4_CLIENT",
        (Transport::Tcp, false) => "TCPv4_SERVER",
    };
    let device = if device == Device::Tap { "tap" } else { "tun" };
    let (cipher, key_size) = if encrypted { ("BF-CBC", 128) } else { ("[null-cipher]", 0) };
    let role = if client { "tls-client" } else { "tls-server" };
    format!(
        "V4,dev-type {device},link-mtu {link_mtu},tun-mtu {tun_mtu},proto {protocol},\
         cipher {cipher},auth SHA1,keysize {key_size},key-method 2,{role}"
    )
}

/// What a client says about itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PeerInformation {
    /// It takes data packets V2.
    pub data_v2: bool,
    /// It can export keys from TLS.
    pub tls_export: bool,
    /// The ciphers it can be told to use; empty if it negotiates none.
    pub ciphers: Vec<Cipher>,
    /// The version it announces.
    pub version: Option<String>,
    /// It speaks what only re6st does: the liveness exchange.
    pub native: bool,
}

impl PeerInformation {
    /// Reads the lines of a client.
    pub fn parse(text: &str) -> Self {
        let mut information = Self::default();
        let mut ncp_2 = false;
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match name {
                "IV_VER" => information.version = Some(value.to_owned()),
                "IV_PROTO" => {
                    let bits: u32 = value.parse().unwrap_or(0);
                    information.data_v2 = bits & PROTO_DATA_V2 != 0;
                    information.tls_export = bits & PROTO_TLS_EXPORT != 0;
                }
                "IV_RE6ST" => information.native = true,
                "IV_NCP" => ncp_2 = value.trim() == "2",
                "IV_CIPHERS" => {
                    information.ciphers =
                        value.split(':').filter_map(|name| name.parse().ok()).collect();
                }
                _ => {}
            }
        }
        if ncp_2 && information.ciphers.is_empty() {
            // Before IV_CIPHERS existed, two was the promise of these.
            information.ciphers = vec![Cipher::Aes256Gcm, Cipher::Aes128Gcm];
        }
        information
    }

    /// What we say about ourselves when we offer `ciphers`.
    pub fn ours(ciphers: &[Cipher]) -> String {
        let bits = PROTO_DATA_V2 | PROTO_TLS_EXPORT;
        let mut text =
            format!("IV_VER=re6st {}\nIV_PLAT=linux\nIV_PROTO={bits}\n", env!("CARGO_PKG_VERSION"));
        let names: Vec<_> =
            ciphers.iter().filter(|&&c| c != Cipher::None).map(|c| c.name()).collect();
        if !names.is_empty() {
            text.push_str("IV_NCP=2\nIV_CIPHERS=");
            text.push_str(&names.join(":"));
            text.push('\n');
        }
        text.push_str("IV_TCPNL=1\nIV_RE6ST=1\n");
        text
    }
}

/// What a server pushes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PushReply {
    /// The client's address as the server sees it.
    pub external_ip: Option<IpAddr>,
    /// The number that the client's data packets carry.
    pub peer_id: Option<u32>,
    /// The cipher to use.
    pub cipher: Option<Cipher>,
    /// Keys come from TLS's exporter.
    pub tls_export: bool,
    /// Send a ping when nothing else was sent for so many seconds.
    pub ping_s: Option<u32>,
    /// The tunnel is over when nothing was heard for so many seconds.
    pub silence_s: Option<u32>,
    /// Compression, or framing as if there were any, which nobody speaks here.
    pub compression: Option<String>,
    /// It speaks what only re6st does; pushed only to clients that said so.
    pub native: bool,
    /// What it pushes besides.
    pub assigned: Assigned,
    /// More follows in another reply.
    pub continues: bool,
}

/// A reply that cannot be obeyed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the server wants cipher {0}, which is not spoken here")]
pub struct UnknownPush(pub String);

impl PushReply {
    /// Reads the options after `PUSH_REPLY,` into it.
    pub fn read(&mut self, options: &str) -> Result<(), UnknownPush> {
        self.continues = false;
        for option in options.split(',') {
            let mut words = option.split_ascii_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some("setenv-safe"), Some("external_ip"), Some(address)) => {
                    self.external_ip = address.parse().ok();
                }
                (Some("peer-id"), Some(id), _) => {
                    self.peer_id = id.parse().ok().filter(|&id| id < 1 << 24);
                }
                (Some("cipher"), Some(name), _) => {
                    let cipher = name.parse().map_err(|_| UnknownPush(name.to_owned()))?;
                    self.cipher = Some(cipher);
                }
                (Some("key-derivation"), Some("tls-ekm"), _) => self.tls_export = true,
                (Some("protocol-flags"), ..) => {
                    self.tls_export |= option.split_ascii_whitespace().any(|f| f == "tls-ekm");
                }
                (Some("comp-lzo" | "compress"), ..) => {
                    self.compression = Some(option.to_owned());
                }
                (Some("re6st"), ..) => self.native = true,
                (Some("ping"), Some(seconds), _) => self.ping_s = seconds.parse().ok(),
                // A tunnel ends where OpenVPN would begin it anew: whoever opened it decides.
                (Some("ping-restart" | "ping-exit"), Some(seconds), _) => {
                    self.silence_s = seconds.parse().ok();
                }
                (Some("push-continuation"), Some(code), _) => self.continues = code == "2",
                // Stock nodes push who they are.
                (Some("setenv-safe"), ..) => {}
                _ => self.assigned.take(option),
            }
        }
        Ok(())
    }

    /// Writes the whole message, without the NUL that ends it.
    pub fn to_text(&self) -> String {
        let mut text = "PUSH_REPLY".to_owned();
        if let Some(address) = self.external_ip {
            text.push_str(&format!(",setenv-safe external_ip {address}"));
        }
        if let Some(id) = self.peer_id {
            text.push_str(&format!(",peer-id {id}"));
        }
        if let Some(cipher) = self.cipher {
            text.push_str(&format!(",cipher {cipher}"));
        }
        if self.tls_export {
            text.push_str(",key-derivation tls-ekm");
        }
        if let Some(seconds) = self.ping_s {
            text.push_str(&format!(",ping {seconds}"));
        }
        if let Some(seconds) = self.silence_s {
            text.push_str(&format!(",ping-restart {seconds}"));
        }
        if self.native {
            text.push_str(",re6st 1");
        }
        text
    }
}

/// The cipher that a server uses with a client: the first of `ours` that the client takes.
pub fn choose_cipher(ours: &[Cipher], client: &PeerInformation, options: &str) -> Option<Cipher> {
    if let Some(&cipher) = ours.iter().find(|cipher| client.ciphers.contains(cipher)) {
        return Some(cipher);
    }
    // A client that negotiates nothing uses what its option string names; 2.6 leaves `none` out.
    let named = options.split(',').find_map(|option| option.strip_prefix("cipher "));
    let named = match named {
        None | Some("[null-cipher]") => Some(Cipher::None),
        Some(name) => name.parse().ok(),
    };
    named.filter(|cipher| ours.contains(cipher) && client.ciphers.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UDP: Underlay = Underlay { transport: Transport::Udp, ipv6: false };

    #[test]
    fn option_strings_are_those_of_openvpn_2_4() {
        assert_eq!(
            option_string(Role::Client, UDP, Device::Tap, false),
            "V4,dev-type tap,link-mtu 1432,tun-mtu 1311,proto UDPv4,cipher [null-cipher],\
             auth SHA1,keysize 0,key-method 2,tls-client"
        );
        let tcp = Underlay { transport: Transport::Tcp, ipv6: false };
        assert_eq!(
            option_string(Role::Server, tcp, Device::Tap, true),
            "V4,dev-type tap,link-mtu 1575,tun-mtu 1532,proto TCPv4_SERVER,cipher BF-CBC,\
             auth SHA1,keysize 128,key-method 2,tls-server"
        );
    }

    #[test]
    fn the_size_of_datagrams_gives_the_sizes_of_2_4() {
        let of = |link, role, cipher| mtu_of_link(link, role, cipher);
        assert_eq!(of(1525, Role::Server, Cipher::None), 1372);
        assert_eq!(of(1525, Role::Server, Cipher::Aes256Gcm), 1372);
        assert_eq!(of(1432, Role::Client, Cipher::None), 1372);
        assert_eq!(of(1432, Role::Client, Cipher::Aes256Gcm), 1348);
        assert_eq!(of(1543, Role::Server, Cipher::None), 1390);
        assert_eq!(of(1450, Role::Client, Cipher::Aes256Gcm), 1366);
    }

    #[test]
    fn a_reply_is_read_back() {
        let reply = PushReply {
            external_ip: Some("10.9.0.2".parse().unwrap()),
            peer_id: Some(3),
            cipher: Some(Cipher::Aes256Gcm),
            tls_export: true,
            ping_s: Some(10),
            silence_s: Some(60),
            native: true,
            ..PushReply::default()
        };
        let mut read = PushReply::default();
        read.read(reply.to_text().strip_prefix("PUSH_REPLY,").unwrap()).unwrap();
        assert_eq!(read, reply);
    }

    #[test]
    fn what_openvpn_2_6_pushes_is_understood() {
        let mut reply = PushReply::default();
        let options = "setenv-safe external_ip 10.9.0.2,ping 10,ping-restart 60,peer-id 0,cipher none,\
                       protocol-flags cc-exit tls-ekm dyn-tls-crypt,tun-mtu 1372";
        reply.read(options).unwrap();
        assert_eq!((reply.cipher, reply.tls_export), (Some(Cipher::None), true));
        assert_eq!(reply.peer_id, Some(0));
        assert_eq!((reply.ping_s, reply.silence_s), (Some(10), Some(60)));
        assert_eq!(reply.read("cipher BF-CBC"), Err(UnknownPush("BF-CBC".to_owned())));
    }

    #[test]
    fn a_cipher_is_pushed_only_to_clients_that_negotiate() {
        let gcm = [Cipher::Aes256Gcm, Cipher::Aes128Gcm];
        let old = PeerInformation::parse("IV_VER=2.4.12\nIV_PROTO=2\n");
        let new = PeerInformation::parse("IV_PROTO=2\nIV_NCP=2\n");
        let chacha = PeerInformation::parse("IV_CIPHERS=CHACHA20-POLY1305\n");
        assert_eq!(choose_cipher(&gcm, &new, "V4,cipher BF-CBC"), Some(Cipher::Aes256Gcm));
        assert_eq!(choose_cipher(&gcm, &old, "V4,cipher BF-CBC"), None);
        assert_eq!(choose_cipher(&gcm, &old, "V4,cipher AES-128-GCM"), Some(Cipher::Aes128Gcm));
        assert_eq!(choose_cipher(&gcm, &chacha, "V4,cipher AES-256-GCM"), None);
        assert_eq!(choose_cipher(&gcm, &old, "V4,cipher [null-cipher]"), None);
        let none = [Cipher::None];
        assert_eq!(choose_cipher(&none, &old, "V4,cipher [null-cipher]"), Some(Cipher::None));
        assert_eq!(choose_cipher(&none, &old, "V4,auth SHA1"), Some(Cipher::None));
        assert_eq!(choose_cipher(&none, &new, "V4,cipher BF-CBC"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*") {
            let _ = PushReply::default().read(&text);
            let _ = PeerInformation::parse(&text);
        }
    }
}
