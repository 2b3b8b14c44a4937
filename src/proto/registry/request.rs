//! What a registry is asked: the target of an HTTP request, read as a value.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::proto::prefix::Prefix;
use crate::proto::registry::call::{MemberCall, OpenCall};
use crate::proto::registry::session::HelloNonce;

/// A call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// By anybody. The protocol of a hello is what the node says it speaks.
    Open {
        /// What.
        call: OpenCall,
        /// Of a hello; zero otherwise.
        protocol: u32,
    },
    /// By a node, in a session.
    Member {
        /// Who.
        prefix: Prefix,
        /// What.
        call: MemberCall,
    },
    /// By an administrator.
    Private(PrivateCall),
}

/// What an administrator may ask, from the registry's own host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PrivateCall {
    /// Whether a token is there.
    IsToken(String),
    /// Makes a token for an address; draws one if none is given.
    AddToken {
        /// For whom.
        email: String,
        /// Which.
        token: Option<String>,
        /// Bits of the prefix that it is worth, if not as usual. Not an argument of stock's.
        prefix_length: Option<u8>,
    },
    /// The tokens that were not used yet. Not a call of stock's.
    Tokens,
    /// Forgets a token.
    DeleteToken(String),
    /// Ends a certificate.
    Revoke(Revoked),
    /// Takes the next of three steps to a new key of Babel's.
    UpdateHmac,
    /// The common name of the node of an address.
    GetNodePrefix(String),
    /// The first address of the node of an address.
    GetIpv6Address(String),
    /// The underlay's address of the node of an address.
    GetIpv4Information(String),
    /// What software each node runs.
    Versions,
    /// Who has tunnels to whom.
    Topology,
    /// A ticket to log in to the pages with. Not a call of upstream's.
    Login,
    /// Every member and where it is. Not a call of stock's.
    Nodes,
    /// Why the registry's clock is implausible; empty if it is plausible. Not a call of upstream's.
    Clock,
    /// Accepts the clock. Not a call of upstream's.
    AcceptClock,
    /// Which version the registry's own node has handed to how many nodes.
    HandOut,
    /// What Prometheus reads. Not a call of stock's.
    Metrics,
}

/// Which certificate to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revoked {
    /// The node's, and with it the node's membership.
    Node(Prefix),
    /// That one only: the node can renew it.
    Serial(u64),
}

/// Why a target is no call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// Not `/method?key=value&…`.
    #[error("a request is written /method?key=value&…")]
    Form,
    /// No such method.
    #[error("there is no such method")]
    Method,
    /// An argument is missing, unknown or not what it should be.
    #[error("argument {0} is missing, unknown or makes no sense")]
    Argument(&'static str),
}

/// Reads the target of a request.
pub fn parse(target: &str) -> Result<Asked, RequestError> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, query),
        None => (target, ""),
    };
    let method = path.strip_prefix('/').filter(|name| !name.contains('/'));
    let method = method.ok_or(RequestError::Form)?;
    let mut arguments = Arguments::parse(query)?;
    let asked = read(method, &mut arguments)?;
    arguments.0.is_empty().then_some(asked).ok_or(RequestError::Argument("(another one)"))
}

fn read(method: &str, arguments: &mut Arguments) -> Result<Asked, RequestError> {
    let open = |call| Ok(Asked::Open { call, protocol: 0 });
    match method {
        "getCa" => open(OpenCall::GetCa),
        "requestToken" => open(OpenCall::RequestToken { email: arguments.text("email")? }),
        "requestCertificate" => {
            let call = OpenCall::RequestCertificate {
                token: arguments.text("token")?,
                request: arguments.text("req")?,
                location: arguments.0.remove("location").unwrap_or_default(),
            };
            arguments.0.remove("ip");
            open(call)
        }
        "hello" => {
            let prefix = arguments.prefix("client_prefix")?;
            let protocol = arguments.0.remove("protocol").unwrap_or_else(|| "1".into());
            let protocol = protocol.parse().map_err(|_| RequestError::Argument("protocol"))?;
            let nonce = match arguments.0.remove("nonce") {
                None => None,
                Some(digits) => Some(nonce(&digits).ok_or(RequestError::Argument("nonce"))?),
            };
            Ok(Asked::Open { call: OpenCall::Hello { prefix, nonce }, protocol })
        }
        _ => match member_call(method, arguments)? {
            Some(call) => Ok(Asked::Member { prefix: arguments.prefix("cn")?, call }),
            None => private_call(method, arguments).map(Asked::Private),
        },
    }
}

/// The octets of 32 hexadecimal digits.
fn nonce(digits: &str) -> Option<HelloNonce> {
    let is_hexadecimal = digits.len() == 32 && digits.bytes().all(|it| it.is_ascii_hexdigit());
    let number = is_hexadecimal.then(|| u128::from_str_radix(digits, 16).ok())?;
    number.map(u128::to_be_bytes)
}

fn member_call(
    method: &str,
    arguments: &mut Arguments,
) -> Result<Option<MemberCall>, RequestError> {
    Ok(Some(match method {
        "getNetworkConfig" => MemberCall::GetNetworkConfig,
        "getDh" => MemberCall::GetDh,
        "getBootstrapPeer" => MemberCall::GetBootstrapPeer,
        "renewCertificate" => MemberCall::RenewCertificate,
        "getCountry" => {
            let address: Option<IpAddr> = arguments.text("address")?.parse().ok();
            MemberCall::GetCountry(address.ok_or(RequestError::Argument("address"))?)
        }
        _ => return Ok(None),
    }))
}

fn private_call(method: &str, arguments: &mut Arguments) -> Result<PrivateCall, RequestError> {
    Ok(match method {
        "isToken" => PrivateCall::IsToken(arguments.text("token")?),
        "addToken" => PrivateCall::AddToken {
            email: arguments.text("email")?,
            token: arguments.0.remove("token").filter(|token| !token.is_empty()),
            prefix_length: match arguments.0.remove("prefix_len") {
                None => None,
                Some(bits) => Some(bits.parse().map_err(|_| RequestError::Argument("prefix_len"))?),
            },
        },
        "tokens" => PrivateCall::Tokens,
        "deleteToken" => PrivateCall::DeleteToken(arguments.text("token")?),
        "revoke" => {
            let name = arguments.text("cn_or_serial")?;
            let wrong = RequestError::Argument("cn_or_serial");
            PrivateCall::Revoke(match name.parse() {
                Ok(serial) => Revoked::Serial(serial),
                Err(_) => Revoked::Node(name.parse().map_err(|_| wrong)?),
            })
        }
        "updateHMAC" => PrivateCall::UpdateHmac,
        "getNodePrefix" => PrivateCall::GetNodePrefix(arguments.text("email")?),
        "getIPv6Address" => PrivateCall::GetIpv6Address(arguments.text("email")?),
        "getIPv4Information" => PrivateCall::GetIpv4Information(arguments.text("email")?),
        "versions" => PrivateCall::Versions,
        "topology" => PrivateCall::Topology,
        "login" => PrivateCall::Login,
        "nodes" => PrivateCall::Nodes,
        "clock" => PrivateCall::Clock,
        "acceptClock" => PrivateCall::AcceptClock,
        "handOut" => PrivateCall::HandOut,
        "metrics" => PrivateCall::Metrics,
        _ => return Err(RequestError::Method),
    })
}

/// The query's pairs; of a repeated key, the last counts.
struct Arguments(BTreeMap<String, String>);

impl Arguments {
    fn parse(query: &str) -> Result<Self, RequestError> {
        if query.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        if !query.split('&').all(|pair| pair.contains('=')) {
            return Err(RequestError::Form);
        }
        Ok(Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }

    fn text(&mut self, name: &'static str) -> Result<String, RequestError> {
        self.0.remove(name).ok_or(RequestError::Argument(name))
    }

    fn prefix(&mut self, name: &'static str) -> Result<Prefix, RequestError> {
        let prefix = Prefix::from_bits(&self.text(name)?).ok();
        prefix.filter(|prefix| prefix.length() > 0).ok_or(RequestError::Argument(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calls_are_read_back() {
        let prefix: Prefix = "5/16".parse().unwrap();
        let open = [
            OpenCall::GetCa,
            OpenCall::RequestToken { email: "a+b@c&d".into() },
            OpenCall::RequestCertificate {
                token: String::new(),
                request: "-----BEGIN\n+/=".into(),
                location: "FR,EU".into(),
            },
        ];
        for call in open {
            assert_eq!(parse(&call.target()), Ok(Asked::Open { call, protocol: 0 }));
        }
        let call = OpenCall::Hello { prefix, nonce: None };
        assert_eq!(parse(&call.target()), Ok(Asked::Open { call, protocol: 10 }));
        let country = MemberCall::GetCountry("192.0.2.1".parse().unwrap());
        for call in [MemberCall::GetDh, MemberCall::RenewCertificate, country] {
            assert_eq!(parse(&call.target(prefix)), Ok(Asked::Member { prefix, call }));
        }
    }

    #[test]
    fn administrators_say_what_they_mean() {
        let private = |target: &str| match parse(target) {
            Ok(Asked::Private(call)) => call,
            other => panic!("{target}: {other:?}"),
        };
        let revoked = |name: &str| private(&format!("/revoke?cn_or_serial={name}"));
        assert_eq!(revoked("7"), PrivateCall::Revoke(Revoked::Serial(7)));
        assert_eq!(revoked("2%2F16"), PrivateCall::Revoke(Revoked::Node("2/16".parse().unwrap())));
        assert_eq!(
            private("/addToken?email=a@b&token="),
            PrivateCall::AddToken { email: "a@b".into(), token: None, prefix_length: None }
        );
        assert_eq!(private("/topology"), PrivateCall::Topology);
    }

    #[test]
    fn what_is_no_call_says_why() {
        for (target, error) in [
            ("", RequestError::Form),
            ("getCa", RequestError::Form),
            ("//getCa", RequestError::Form),
            ("/getCa/x", RequestError::Form),
            ("/../getCa", RequestError::Form),
            ("/getDh?cn", RequestError::Form),
            ("/", RequestError::Method),
            ("/nothing", RequestError::Method),
            ("/getCa?x=1", RequestError::Argument("(another one)")),
            ("/getDh", RequestError::Argument("cn")),
            ("/getDh?cn=", RequestError::Argument("cn")),
            ("/getDh?cn=1/16", RequestError::Argument("cn")),
            ("/hello?client_prefix=01&protocol=x", RequestError::Argument("protocol")),
            ("/hello?client_prefix=01&nonce=ab", RequestError::Argument("nonce")),
            ("/revoke?cn_or_serial=x", RequestError::Argument("cn_or_serial")),
            ("/requestCertificate?req=x", RequestError::Argument("token")),
        ] {
            assert_eq!(parse(target), Err(error), "{target}");
        }
    }

    fn prefixes() -> impl Strategy<Value = Prefix> {
        "[01]{1,64}".prop_map(|bits| Prefix::from_bits(&bits).unwrap())
    }

    fn open_calls() -> impl Strategy<Value = OpenCall> {
        let text = || any::<String>();
        prop_oneof![
            Just(OpenCall::GetCa),
            text().prop_map(|email| OpenCall::RequestToken { email }),
            (text(), text(), text()).prop_map(|(token, request, location)| {
                OpenCall::RequestCertificate { token, request, location }
            }),
            (prefixes(), any::<Option<[u8; 16]>>())
                .prop_map(|(prefix, nonce)| OpenCall::Hello { prefix, nonce }),
        ]
    }

    fn member_calls() -> impl Strategy<Value = MemberCall> {
        prop_oneof![
            Just(MemberCall::GetNetworkConfig),
            Just(MemberCall::GetDh),
            Just(MemberCall::GetBootstrapPeer),
            Just(MemberCall::RenewCertificate),
            any::<IpAddr>().prop_map(MemberCall::GetCountry),
        ]
    }

    proptest! {
        #[test]
        fn what_anybody_asks_is_read_as_it_was_meant(call in open_calls()) {
            let protocol =
                if matches!(call, OpenCall::Hello { .. }) { crate::proto::registry::PROTOCOL } else { 0 };
            let target = call.target();
            prop_assert!(target.bytes().all(|octet| octet.is_ascii_graphic()), "{target}");
            prop_assert_eq!(parse(&target), Ok(Asked::Open { call, protocol }));
        }

        #[test]
        fn what_members_ask_is_read_as_it_was_meant(prefix in prefixes(), call in member_calls()) {
            prop_assert_eq!(parse(&call.target(prefix)), Ok(Asked::Member { prefix, call }));
        }

        /// The order of arguments says nothing; each is wanted once, and none may be added.
        #[test]
        fn arguments_are_a_set(
            (names, order) in Just(vec!["cn=01", "address=192.0.2.1"]).prop_flat_map(|names| {
                (Just(names.clone()), Just(names).prop_shuffle())
            }),
            more in "[a-z]{1,8}",
        ) {
            let target = |names: &[&str]| format!("/getCountry?{}", names.join("&"));
            prop_assert_eq!(parse(&target(&order)), parse(&target(&names)));
            prop_assert!(parse(&target(&order)).is_ok());
            for at in 0..order.len() {
                let mut fewer = order.clone();
                fewer.remove(at);
                prop_assert!(parse(&target(&fewer)).is_err());
            }
            prop_assume!(!["cn", "address"].contains(&more.as_str()));
            let more = format!("{more}=1");
            prop_assert!(parse(&target(&[&order[..], &[&more]].concat())).is_err());
        }

        /// What is a number is one within its bounds, and a prefix has bits and no more than an address.
        #[test]
        fn values_have_bounds(number in any::<u64>(), bits in "[01]{0,140}", other in "[2-9a-z +-]{1,4}") {
            let hello = parse(&format!("/hello?client_prefix=01&protocol={number}"));
            prop_assert_eq!(hello.is_ok(), u32::try_from(number).is_ok());
            let token = parse(&format!("/addToken?email=a@b&prefix_len={number}"));
            prop_assert_eq!(token.is_ok(), u8::try_from(number).is_ok());
            let member = parse(&format!("/getDh?cn={bits}"));
            prop_assert_eq!(member.is_ok(), (1..=128).contains(&bits.len()), "{}", bits.len());
            let member = parse(&format!("/getDh?cn={bits}{other}"));
            prop_assert!(member.is_err(), "{:?}", member);
        }

        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&String::from_utf8_lossy(&octets));
            let _ = parse(&format!("/requestCertificate?{}", String::from_utf8_lossy(&octets)));
        }

        #[test]
        fn no_target_panics(target in "\\PC{0,60}") {
            let _ = parse(&target);
        }

        #[test]
        fn no_query_panics(
            method in "getCa|hello|getDh|requestCertificate|revoke|addToken|getCountry",
            query in "(cn|client_prefix|token|req|email|%[0-9a-f]{2}|[01&=+%/]){0,20}",
        ) {
            let _ = parse(&format!("/{method}?{query}"));
        }
    }
}
