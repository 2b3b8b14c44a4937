//! What is asked of a registry, as values with one text form: the target of an HTTP request.

use std::fmt;
use std::net::IpAddr;

use form_urlencoded::Serializer;

use crate::proto::prefix::Prefix;
use crate::proto::registry::session::HelloNonce;

/// What anybody may ask.
#[derive(Clone, PartialEq, Eq)]
pub enum OpenCall {
    /// The authority's certificate, PEM.
    GetCa,
    /// A token for this address, by mail.
    RequestToken {
        /// Where the mail goes.
        email: String,
    },
    /// A certificate.
    RequestCertificate {
        /// What the mail said; empty for an anonymous certificate.
        token: String,
        /// PKCS#10, PEM.
        request: String,
        /// `country,continent`, empty if the registry shall find out.
        location: String,
    },
    /// The first key of a session, sealed for the node's certificate and signed by the authority.
    Hello {
        /// Who asks.
        prefix: Prefix,
        /// Of a native node, which wants [`super::session::hello_statement`] signed; upstream's registry
        /// refuses it.
        nonce: Option<HelloNonce>,
    },
}

/// What a member may ask, in a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemberCall {
    /// The network's parameters.
    GetNetworkConfig,
    /// Diffie-Hellman parameters, PEM.
    GetDh,
    /// The addresses of some node, sealed.
    GetBootstrapPeer,
    /// A certificate for the same key and prefix that lasts longer.
    RenewCertificate,
    /// The country of an address.
    GetCountry(IpAddr),
}

impl OpenCall {
    /// The target of the request: `/method?key=value&…`.
    pub fn target(&self) -> String {
        match self {
            Self::GetCa => "/getCa".into(),
            Self::RequestToken { email } => target("requestToken", &[("email", email)]),
            Self::RequestCertificate { token, request, location } => target(
                "requestCertificate",
                &[("token", token), ("req", request), ("location", location), ("ip", "")],
            ),
            Self::Hello { prefix, nonce } => {
                let (bits, protocol) = (prefix.to_bits(), super::PROTOCOL.to_string());
                let mut arguments = vec![("client_prefix", &*bits), ("protocol", &*protocol)];
                let nonce = nonce.map(|nonce| hex(&nonce));
                arguments.extend(nonce.as_deref().map(|nonce| ("nonce", nonce)));
                target("hello", &arguments)
            }
        }
    }
}

impl MemberCall {
    /// The target of the request by the node with `prefix`.
    pub fn target(self, prefix: Prefix) -> String {
        let cn = prefix.to_bits();
        match self {
            Self::GetNetworkConfig => target("getNetworkConfig", &[("cn", &cn)]),
            Self::GetDh => target("getDh", &[("cn", &cn)]),
            Self::GetBootstrapPeer => target("getBootstrapPeer", &[("cn", &cn)]),
            Self::RenewCertificate => target("renewCertificate", &[("cn", &cn)]),
            Self::GetCountry(address) => {
                target("getCountry", &[("cn", &cn), ("address", &address.to_string())])
            }
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Writes `/method?key=value&…`, form-encoded.
pub fn target(method: &str, arguments: &[(&str, &str)]) -> String {
    let mut text = Serializer::for_suffix(format!("/{method}?"), method.len() + 2);
    text.extend_pairs(arguments);
    text.finish()
}

/// Names the call; tokens and addresses are the applicant's own.
impl fmt::Debug for OpenCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GetCa => f.write_str("GetCa"),
            Self::RequestToken { .. } => f.write_str("RequestToken"),
            Self::RequestCertificate { .. } => f.write_str("RequestCertificate"),
            Self::Hello { prefix, .. } => write!(f, "Hello({prefix})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_of_stock_nodes() {
        let prefix: Prefix = "1/16".parse().unwrap();
        assert_eq!(OpenCall::GetCa.target(), "/getCa");
        assert_eq!(
            OpenCall::RequestToken { email: "reg@example.com".into() }.target(),
            "/requestToken?email=reg%40example.com"
        );
        assert_eq!(
            OpenCall::Hello { prefix, nonce: None }.target(),
            "/hello?client_prefix=0000000000000001&protocol=10"
        );
        assert_eq!(
            OpenCall::Hello { prefix, nonce: Some([0xab; 16]) }.target(),
            format!("/hello?client_prefix=0000000000000001&protocol=10&nonce={}", "ab".repeat(16))
        );
        assert_eq!(MemberCall::GetDh.target(prefix), "/getDh?cn=0000000000000001");
    }
}
