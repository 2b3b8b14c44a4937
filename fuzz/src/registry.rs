//! What a registry is asked, and the texts that travel around it.

use re6st::proto::registry::community::Communities;
use re6st::proto::registry::invitation::Invitation;
use re6st::proto::registry::parameters::Parameters;
use re6st::proto::registry::passed_on::plain;
use re6st::proto::registry::request;
use re6st::proto::registry::token;
use re6st::proto::registry::url::RegistryUrl;

use super::mesh::identity;

/// The target of an HTTP request.
pub fn registry_request(octets: &[u8]) {
    let target = String::from_utf8_lossy(octets);
    if let Ok(asked) = request::parse(&target) {
        use re6st::proto::registry::request::Asked;
        let again = match &asked {
            Asked::Open { call, .. } => call.target(),
            Asked::Member { prefix, call } => call.target(*prefix),
            Asked::Private(_) => return,
        };
        let again = request::parse(&again).expect("what was written is a call");
        match (asked, again) {
            (Asked::Open { call, .. }, Asked::Open { call: again, .. }) => assert_eq!(call, again),
            (asked, again) => assert_eq!(asked, again),
        }
    }
}

/// Addresses, invitations, communities, tokens; the network's parameters, as JSON and compressed.
pub fn registry_text(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Ok(url) = text.parse::<RegistryUrl>() {
        assert_eq!(url.to_string().parse(), Ok(url));
    }
    if let Ok(invitation) = text.parse::<Invitation>() {
        assert_eq!(invitation.to_string().parse(), Ok(invitation));
    }
    if let Ok(communities) = Communities::parse(&text) {
        let _ = communities.at(&text);
    }
    let _ = (token::is_usable(&text), token::is_address(&text), plain(&text).len());
    let _ = Parameters::parse(octets, &identity("h1").key);
    if let Ok(serde_json::Value::Object(map)) = serde_json::from_slice(octets) {
        let _ = Parameters::from_map(map);
    }
}
