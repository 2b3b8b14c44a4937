//! What an OpenVPN configuration file asks for, as far as it applies to one tunnel; the rest is named.
//!
//! What would make the tunnel not work, or less safe than the file wants it, is an error. What belongs to
//! other parts of OpenVPN (routes, scripts, logs, privileges) is passed over, and said so.

mod connection;
mod refused;
mod words;

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::proto::endpoint::Transport;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::control_keys::{Digest, Direction};
use crate::proto::tunnel::kind::{Device, Role};
use crate::proto::tunnel::limit::Limit;
use crate::proto::tunnel::mss::Mssfix;
use crate::proto::tunnel::name::ExpectedName;
use crate::proto::tunnel::ovpn::Directive;
use crate::proto::tunnel::tls::Usage;

/// What a file asks for. What it does not mention is empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Profile {
    /// Which end it is for.
    pub role: Option<Role>,
    /// Servers, in the order in which they are to be tried.
    pub remotes: Vec<Remote>,
    /// What carries the tunnel, and over IPv6 only or IPv4 only if it says so.
    pub protocol: Option<Protocol>,
    /// The server's port.
    pub port: Option<u16>,
    /// The servers are to be tried in an order drawn by lot.
    pub is_random: bool,
    /// How long one of several servers may take to answer.
    pub answer_timeout: Option<Duration>,
    /// The address to listen on.
    pub bind: Option<IpAddr>,
    /// The authorities' certificates.
    pub ca: Option<Source>,
    /// Our certificate.
    pub certificate: Option<Source>,
    /// What leads from it to its authority.
    pub chain: Option<Source>,
    /// Its key.
    pub key: Option<Source>,
    /// The list of revoked certificates.
    pub revoked: Option<Source>,
    /// The key of `tls-auth`.
    pub tls_auth: Option<Source>,
    /// Its direction.
    pub direction: Option<Direction>,
    /// Its hash, and that of frames that are not encrypted.
    pub digest: Option<Digest>,
    /// The key of `tls-crypt`.
    pub tls_crypt: Option<Source>,
    /// The key of `tls-crypt-v2`.
    pub tls_crypt_v2: Option<Source>,
    /// What passes.
    pub device: Option<Device>,
    /// The interface's name.
    pub interface: Option<String>,
    /// The ciphers of the data channel, the preferred first.
    pub ciphers: Vec<Cipher>,
    /// The name that the peer's certificate must have.
    pub peer: Option<ExpectedName>,
    /// What the peer's certificate must be for.
    pub usage: Option<Usage>,
    /// Addresses of the interface.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The interface is to have the addresses that the server assigns.
    pub pulls: bool,
    /// Octets of the interface's largest packet.
    pub mtu: Option<u32>,
    /// The same, as octets of UDP that 2.4 counts.
    pub link_mtu: Option<u32>,
    /// How large the segments of TCP connections may be.
    pub mssfix: Option<Mssfix>,
    /// The tunnel is over when nothing was heard for so long.
    pub ping_exit: Option<Duration>,
    /// How often to send a ping.
    pub ping: Option<Duration>,
    /// How long a handshake may take.
    pub handshake_timeout: Option<Duration>,
    /// After what time keys are renewed.
    pub renegotiate_after: Option<Duration>,
    /// After how much they are.
    pub key_limit: Limit,
    /// Clients of a server at most.
    pub clients_max: Option<usize>,
    /// What does not apply: line and option.
    pub passed_over: Vec<(usize, String)>,
}

/// A server to be tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remote {
    /// Its line.
    pub line: usize,
    /// Its name or address.
    pub host: String,
    /// Its port, if it has one of its own.
    pub port: Option<u16>,
    /// Its protocol, if it has one of its own.
    pub protocol: Option<Protocol>,
}

/// What carries a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Protocol {
    /// UDP or TCP.
    pub transport: Transport,
    /// Whether over IPv6; either if it does not say.
    pub ipv6: Option<bool>,
}

/// Where a file is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// In a file of its own.
    Path(String),
    /// Inside the configuration file.
    Inline(String),
}

/// Why a file cannot be obeyed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProfileError {
    /// An option lacks a word.
    #[error("line {0}: {1} needs a value")]
    Missing(usize, String),
    /// An option's word is none.
    #[error("line {line}: {name}: {value} is not {wanted}")]
    Value {
        /// Its line.
        line: usize,
        /// The option.
        name: String,
        /// What it says.
        value: String,
        /// What it could say.
        wanted: &'static str,
    },
    /// Something that is not spoken here, and without which the tunnel would not work or not be safe.
    #[error("line {0}: {1} is not spoken here: {2}")]
    NotSpoken(usize, String, &'static str),
    /// The options of one server do not end.
    #[error("line {0}: <connection> is not followed by </connection>")]
    Open(usize),
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let family = text.trim_end_matches("-client").trim_end_matches("-server");
        let (transport, ipv6) = match family {
            "udp" => (Transport::Udp, None),
            "udp4" => (Transport::Udp, Some(false)),
            "udp6" => (Transport::Udp, Some(true)),
            "tcp" => (Transport::Tcp, None),
            "tcp4" => (Transport::Tcp, Some(false)),
            "tcp6" => (Transport::Tcp, Some(true)),
            _ => return Err(()),
        };
        Ok(Self { transport, ipv6 })
    }
}

impl Profile {
    /// Reads what the options of a file ask for.
    pub fn read(directives: &[Directive]) -> Result<Self, ProfileError> {
        let mut profile = Self::default();
        let mut block = None;
        for directive in directives {
            match directive.name.as_str() {
                "<connection>" => {
                    block = Some(profile.enter(directive.line));
                    continue;
                }
                "</connection>" => {
                    profile.leave(block.take());
                    continue;
                }
                _ => {}
            }
            let applies = profile.take_end(directive)?
                || profile.take_credentials(directive)?
                || profile.take_interface(directive)?
                || profile.take_times(directive)?;
            if applies {
                continue;
            }
            if let Some(why) = refused::why(&directive.name) {
                return Err(ProfileError::NotSpoken(directive.line, directive.name.clone(), why));
            }
            profile.passed_over.push((directive.line, directive.name.clone()));
        }
        match block {
            Some(block) => Err(block.is_open()),
            None => Ok(profile),
        }
    }

    /// Which end, and where the other is. Gives whether the option is one of these.
    fn take_end(&mut self, directive: &Directive) -> Result<bool, ProfileError> {
        match directive.name.as_str() {
            "client" => (self.role, self.pulls) = (Some(Role::Client), true),
            "tls-client" => self.role = Some(Role::Client),
            "pull" => self.pulls = true,
            "tls-server" => self.role = Some(Role::Server),
            "mode" => {
                let is_server = directive.word(0)? == "server";
                self.role = is_server.then_some(Role::Server).or(self.role);
            }
            "proto" => self.protocol = Some(directive.protocol(0)?),
            "port" | "lport" | "rport" => self.port = Some(directive.number(0, "a port")?),
            "local" => {
                self.bind = Some(directive.parsed(0, "an address")?);
            }
            "remote" => self.remotes.push(Remote {
                line: directive.line,
                host: directive.word(0)?.to_owned(),
                port: directive.words.get(1).map(|_| directive.number(1, "a port")).transpose()?,
                protocol: directive.words.get(2).map(|_| directive.protocol(2)).transpose()?,
            }),
            "remote-random" => self.is_random = true,
            "connect-timeout" | "server-poll-timeout" => {
                self.answer_timeout = Some(directive.seconds(0)?);
            }
            "max-clients" => self.clients_max = Some(directive.number(0, "a count")?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Certificates, keys, and what is done with them.
    fn take_credentials(&mut self, directive: &Directive) -> Result<bool, ProfileError> {
        match directive.name.as_str() {
            "ca" => self.ca = Some(directive.source()?),
            "cert" => self.certificate = Some(directive.source()?),
            "extra-certs" => self.chain = Some(directive.source()?),
            "key" => self.key = Some(directive.source()?),
            "crl-verify" => {
                if directive.words.get(1).is_some_and(|word| word == "dir") {
                    let why = "name one file of revoked certificates";
                    let name = "crl-verify … dir".to_owned();
                    return Err(ProfileError::NotSpoken(directive.line, name, why));
                }
                self.revoked = Some(directive.source()?);
            }
            "tls-auth" => {
                self.tls_auth = Some(directive.source()?);
                if directive.words.get(1).is_some() {
                    self.direction = Some(directive.direction(1)?);
                }
            }
            "key-direction" => self.direction = Some(directive.direction(0)?),
            "tls-crypt" => self.tls_crypt = Some(directive.source()?),
            "tls-crypt-v2" => self.tls_crypt_v2 = Some(directive.source()?),
            "tls-version-min" => {
                // Older than 1.2 is never spoken, and which of the others it is, both ends decide.
                if !matches!(directive.word(0)?, "1.0" | "1.1" | "1.2") {
                    let name = format!("tls-version-min {}", directive.word(0)?);
                    let why =
                        "1.3 is used when the peer has it; say 1.2, or have the peer want 1.3";
                    return Err(ProfileError::NotSpoken(directive.line, name, why));
                }
            }
            "auth" => {
                let wanted = "SHA1, SHA256, SHA384 or SHA512";
                self.digest = Some(directive.parsed(0, wanted)?);
            }
            "cipher" | "data-ciphers" | "ncp-ciphers" | "data-ciphers-fallback" => {
                self.take_ciphers(directive)?;
            }
            "verify-x509-name" => {
                let name = directive.word(0)?.to_owned();
                self.peer = Some(match directive.words.get(1).map(String::as_str) {
                    None | Some("subject") => ExpectedName::Subject(name),
                    Some("name") => ExpectedName::Common(name),
                    Some("name-prefix") => ExpectedName::Beginning(name),
                    Some(other) => {
                        return directive
                            .wrong(other, "subject, name or name-prefix")
                            .map(|()| true);
                    }
                });
            }
            "remote-cert-tls" | "ns-cert-type" => {
                self.usage = Some(match directive.word(0)? {
                    "server" => Usage::Server,
                    "client" => Usage::Client,
                    other => return directive.wrong(other, "client or server").map(|()| true),
                });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// All that are named and spoken, in their order. Others are passed over while one is left.
    fn take_ciphers(&mut self, directive: &Directive) -> Result<(), ProfileError> {
        let value = directive.word(0)?;
        let found: Vec<Cipher> = value.split(':').filter_map(|name| name.parse().ok()).collect();
        let is_list = directive.name != "cipher" && directive.name != "data-ciphers-fallback";
        if found.is_empty() && is_list {
            let wanted = "AES-256-GCM, AES-128-GCM, CHACHA20-POLY1305 or none";
            return directive.wrong(value, wanted);
        }
        if found.is_empty() {
            // What 2.4 would use with a peer that negotiates nothing, which is never us.
            self.passed_over.push((directive.line, format!("{} {value}", directive.name)));
        }
        for cipher in found {
            if !self.ciphers.contains(&cipher) {
                self.ciphers.push(cipher);
            }
        }
        Ok(())
    }

    /// The interface.
    fn take_interface(&mut self, directive: &Directive) -> Result<bool, ProfileError> {
        match directive.name.as_str() {
            "dev" => {
                let name = directive.word(0)?;
                if name != "tap" && name != "tun" {
                    self.interface = Some(name.to_owned());
                }
                let kind = [("tap", Device::Tap), ("tun", Device::Tun)];
                let kind = kind.into_iter().find(|(prefix, _)| name.starts_with(prefix));
                self.device = self.device.or(kind.map(|(_, device)| device));
            }
            "dev-type" => {
                self.device = Some(match directive.word(0)? {
                    "tap" => Device::Tap,
                    "tun" => Device::Tun,
                    other => return directive.wrong(other, "tap or tun").map(|()| true),
                });
            }
            "ifconfig" => self.addresses.push(directive.address()?),
            "ifconfig-ipv6" => {
                let value = directive.word(0)?;
                let address = value.split_once('/').and_then(|(address, length)| {
                    let length = length.parse().ok().filter(|&length: &u8| length <= 128)?;
                    Some((address.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6)?, length))
                });
                let wanted = "an IPv6 address and its prefix's length";
                self.addresses.push(address.map_or_else(|| directive.wrong(value, wanted), Ok)?);
            }
            "tun-mtu" => self.mtu = Some(directive.mtu()?),
            "link-mtu" => self.link_mtu = Some(directive.mtu()?),
            "mssfix" => self.mssfix = directive.mssfix()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_times(&mut self, directive: &Directive) -> Result<bool, ProfileError> {
        let seconds = |at| directive.seconds(at);
        match directive.name.as_str() {
            "ping" => self.ping = Some(seconds(0)?),
            // A tunnel ends where OpenVPN would begin it anew: whoever started us decides.
            "ping-exit" | "ping-restart" => self.ping_exit = Some(seconds(0)?),
            "keepalive" => {
                self.ping = Some(seconds(0)?);
                self.ping_exit = Some(seconds(1)?);
            }
            "hand-window" => self.handshake_timeout = Some(seconds(0)?),
            "reneg-pkts" => self.key_limit.packets = directive.amount(0)?,
            "reneg-bytes" => self.key_limit.octets = directive.amount(0)?,
            "reneg-sec" => self.renegotiate_after = Some(seconds(0)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::tunnel::ovpn::parse;

    fn read(file: &str) -> Result<Profile, ProfileError> {
        Profile::read(&parse(file.as_bytes()).unwrap())
    }

    #[test]
    fn a_file_of_a_client_is_understood() {
        let file = "client\ndev tun7\nproto udp\nremote a.example 1195\nremote b.example 443 tcp-client\n\
                    nobind\nca ca.crt\n<cert>\nC\n</cert>\nkey \"my key\"\ntls-auth ta.key 1\nauth SHA256\n\
                    cipher AES-256-CBC\ndata-ciphers AES-128-GCM:AES-256-GCM:BF-CBC\nremote-cert-tls server\n\
                    verify-x509-name s.example name\nkeepalive 10 60\nreneg-sec 600\ntun-mtu 1400\n\
                    ifconfig 10.8.0.2 255.255.255.0\nredirect-gateway def1\nverb 3\n";
        let profile = read(file).unwrap();
        assert_eq!(profile.role, Some(Role::Client));
        assert_eq!(
            (profile.device, profile.interface.as_deref()),
            (Some(Device::Tun), Some("tun7"))
        );
        let remotes: Vec<_> = profile.remotes.iter().map(|r| (r.host.as_str(), r.port)).collect();
        assert_eq!(remotes, [("a.example", Some(1195)), ("b.example", Some(443))]);
        assert_eq!(profile.remotes[1].protocol.unwrap().transport, Transport::Tcp);
        assert_eq!(profile.certificate, Some(Source::Inline("C\n".to_owned())));
        assert_eq!(profile.key, Some(Source::Path("my key".to_owned())));
        assert_eq!(profile.direction, Some(Direction::Inverse));
        assert_eq!(profile.digest, Some(Digest::Sha256));
        assert_eq!(profile.ciphers, [Cipher::Aes128Gcm, Cipher::Aes256Gcm]);
        assert_eq!(
            (profile.usage, profile.peer),
            (Some(Usage::Server), Some(ExpectedName::from("s.example")))
        );
        assert_eq!(profile.ping_exit, Some(Duration::from_secs(60)));
        assert_eq!(profile.addresses, [("10.8.0.2".parse().unwrap(), 24)]);
        let passed_over: Vec<_> =
            profile.passed_over.iter().map(|(l, n)| format!("{l} {n}")).collect();
        assert_eq!(
            passed_over,
            ["6 nobind", "14 cipher AES-256-CBC", "22 redirect-gateway", "23 verb"]
        );
    }

    #[test]
    fn what_cannot_be_obeyed_names_its_line_and_what_to_do() {
        let error = |file: &str| read(file).unwrap_err().to_string();
        assert_eq!(
            error("client\ncomp-lzo yes"),
            "line 2: comp-lzo is not spoken here: compression leaks what is encrypted; take it out at \
             both ends"
        );
        assert_eq!(error("port many"), "line 1: port: many is not a port");
        assert_eq!(error("\nremote"), "line 2: remote needs a value");
        assert_eq!(error("tun-mtu 1"), "line 1: tun-mtu: 1 is not between 576 and 65500");
        let ciphers = "line 1: data-ciphers: BF-CBC is not AES-256-GCM, AES-128-GCM, CHACHA20-POLY1305 or none";
        assert_eq!(error("data-ciphers BF-CBC"), ciphers);
        assert_eq!(
            error("verify-x509-name x dn"),
            "line 1: verify-x509-name: dn is not subject, name or name-prefix"
        );
        assert_eq!(error("mssfix 1300 all"), "line 1: mssfix: all is not mtu or fixed");
        assert!(error("local here").starts_with("line 1: local: here is not an address"));
    }

    #[test]
    fn a_peer_may_be_named_in_every_form() {
        let peer = |words: &str| read(&format!("verify-x509-name {words}")).unwrap().peer.unwrap();
        let subject = ExpectedName::Subject("C=NL, CN=x".to_owned());
        assert_eq!(peer("'C=NL, CN=x'"), subject);
        assert_eq!(peer("'C=NL, CN=x' subject"), subject);
        assert_eq!(peer("x name"), ExpectedName::Common("x".to_owned()));
        assert_eq!(peer("x- name-prefix"), ExpectedName::Beginning("x-".to_owned()));
    }

    #[test]
    fn how_much_a_key_protects_may_be_said() {
        let limit = |file: &str| read(file).unwrap().key_limit;
        let both = Limit { packets: Some(7), octets: Some(1 << 40) };
        assert_eq!(limit("reneg-pkts 7\nreneg-bytes 1099511627776"), both);
        assert_eq!(limit("reneg-pkts 0\nreneg-bytes 0"), Limit::default());
        assert!(read("reneg-bytes much").is_err());
    }

    #[test]
    fn mssfix_counts_what_openvpn_counts() {
        for (line, wanted) in [
            ("mssfix", None),
            ("mssfix 0", None),
            ("mssfix 1300", Some(Mssfix::Datagram(1300))),
            ("mssfix 1400 mtu", Some(Mssfix::Path(1400))),
            ("mssfix 1200 fixed", Some(Mssfix::Packet(1200))),
        ] {
            assert_eq!(read(line).unwrap().mssfix, wanted, "{line}");
        }
    }

    #[test]
    fn every_option_survives_any_words() {
        let names = "client mode proto port local remote max-clients ca crl-verify tls-auth key-direction auth \
                     cipher data-ciphers verify-x509-name remote-cert-tls dev dev-type ifconfig ifconfig-ipv6 \
                     tun-mtu link-mtu mssfix ping keepalive hand-window reneg-sec compress secret unknown";
        for name in names.split_whitespace() {
            for words in
                ["", "0", "1 2 3", "tap tun", "::1/64", "255.0.255.0 255.255.255.255", "-1", "\"\""]
            {
                let _ = read(&format!("{name} {words}"));
            }
        }
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(text in "(remote|ifconfig|tls-auth|dev|auth)( [a-z0-9./:]{0,9}){0,3}") {
            let _ = read(&text);
        }
    }
}
