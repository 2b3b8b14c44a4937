//! The network's parameters: from the registry, kept in the state folder, and what they mean for each part.

use std::collections::BTreeSet;

use serde_json::{Map, json};

use crate::os::store::Value;
use crate::proto::babel::configuration::words;
use crate::proto::babel::mac::{Hash, Key, Keys};
use crate::proto::babel::settings::{InterfaceSettings, RttSettings};
use crate::proto::certificate::Authority;
use crate::proto::cidr::Cidr;
use crate::proto::crl::SignedCrl;
use crate::proto::mesh::address::Country;
use crate::proto::mesh::choice::Taste;
use crate::proto::mesh::node::Configuration;
use crate::proto::mesh::tunnels::Settings;
use crate::proto::prefix::Prefix;
use crate::proto::registry::parameters::{BabelKey, CRL_SIGNED, Parameters, ParametersError};
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::version::NetworkVersion;

/// What the operator prefers to the network's parameters.
#[derive(Clone, Debug, Default)]
pub struct Preferences {
    /// How many tunnels to open.
    pub client_count: Option<u32>,
    /// How many tunnels to accept.
    pub max_clients: Option<u32>,
    /// Peers to have tunnels with before all others.
    pub neighbours: Vec<Prefix>,
    /// Protocols that are not used.
    pub disabled: Vec<String>,
    /// Where this node is, if that is known and matters.
    pub country: Option<Country>,
}

/// Rows for the state folder, named as stock names them.
pub fn to_rows(parameters: &Parameters) -> Vec<(String, Value)> {
    let integer = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let text = |text: &str| Value::Text(text.to_owned());
    let mut rows = vec![
        ("version".to_owned(), Value::Blob(parameters.version.clone())),
        ("protocol".to_owned(), integer(parameters.protocol.into())),
        ("min_protocol".to_owned(), integer(parameters.min_protocol.into())),
        ("registry_prefix".to_owned(), text(&parameters.registry_prefix.to_bits())),
        ("hello".to_owned(), integer(parameters.hello.as_secs())),
        ("encrypt".to_owned(), integer(parameters.encrypt.into())),
        ("client_count".to_owned(), integer(parameters.client_count.into())),
        ("max_clients".to_owned(), integer(parameters.max_clients.into())),
        ("tunnel_refresh".to_owned(), integer(parameters.tunnel_refresh.as_secs())),
        ("babel_default".to_owned(), text(&parameters.babel_default)),
        ("crl:json".to_owned(), Value::Text(json!(parameters.crl).to_string())),
    ];
    if let Some(octets) = &parameters.crl_signed {
        rows.push((CRL_SIGNED.to_owned(), Value::Blob(octets.clone())));
    }
    if !parameters.same_country.is_empty() {
        let listed = json!(parameters.same_country).to_string();
        rows.push(("same_country:json".to_owned(), Value::Text(listed)));
    }
    let keys = [
        ("babel_hmac_sign", &parameters.babel_hmac_sign),
        ("babel_hmac_accept", &parameters.babel_hmac_accept),
    ];
    for (name, key) in keys {
        if let Some(BabelKey(octets)) = key {
            rows.push((name.to_owned(), Value::Blob(octets.clone())));
        }
    }
    if let Some((network, bits)) = parameters.ipv4 {
        rows.push(("ipv4".to_owned(), Value::Text(network.to_string())));
        rows.push(("ipv4_sublen".to_owned(), integer(bits.into())));
    }
    if let Some(until) = parameters.valid_until {
        rows.push(("valid_until".to_owned(), integer(until.as_secs())));
    }
    for (name, value) in &parameters.other {
        rows.push((format!("{name}:json"), Value::Text(value.to_string())));
    }
    rows
}

/// Reads such rows; an error if they are not the parameters of a network.
pub fn from_rows(rows: Vec<(String, Value)>) -> Result<Parameters, ParametersError> {
    let mut map = Map::new();
    let mut keys = [None, None];
    for (name, value) in rows {
        match (name.as_str(), value) {
            ("babel_hmac_sign", Value::Blob(octets)) => keys[0] = Some(BabelKey(octets)),
            ("babel_hmac_accept", Value::Blob(octets)) => keys[1] = Some(BabelKey(octets)),
            ("encrypt", Value::Integer(number)) => {
                map.insert(name, (number != 0).into());
            }
            (_, Value::Integer(number)) => {
                map.insert(name, number.into());
            }
            (_, Value::Blob(octets)) => {
                map.insert(name, octets.into());
            }
            (_, Value::Text(text)) => match name.strip_suffix(":json") {
                Some(plain) => {
                    let value = serde_json::from_str(&text).map_err(|_| ParametersError::Json)?;
                    map.insert(plain.to_owned(), value);
                }
                None => {
                    map.insert(name, text.into());
                }
            },
        }
    }
    let mut parameters = Parameters::from_map(map)?;
    [parameters.babel_hmac_sign, parameters.babel_hmac_accept] = keys;
    Ok(parameters)
}

/// What the mesh has to know.
pub fn configuration(
    parameters: &Parameters,
    preferences: &Preferences,
    authority: &Authority,
) -> Configuration {
    let same_country = parameters.same_country.iter().filter_map(|text| Country::parse(text));
    let client_count = preferences.client_count.unwrap_or(parameters.client_count);
    Configuration {
        settings: Settings {
            registry: parameters.registry_prefix,
            client_count: client_count as usize,
            refresh: parameters.tunnel_refresh,
            timeout: parameters.hello * 4,
            preferred: preferences.neighbours.clone(),
            taste: Taste {
                disabled: preferences.disabled.clone(),
                country: preferences.country,
                same_country: same_country.collect(),
                own_networks: own_networks(parameters, authority),
            },
        },
        revoked: revoked(parameters),
        version: NetworkVersion::parse(&parameters.version, authority).ok(),
        crl: parameters
            .crl_signed
            .as_ref()
            .and_then(|octets| SignedCrl::parse(octets, authority).ok()),
    }
}

/// The network's prefixes.
pub fn own_networks(parameters: &Parameters, authority: &Authority) -> Vec<Cidr> {
    let ipv4 = parameters.ipv4.map(|(network, _)| network);
    std::iter::once(authority.network().cidr()).chain(ipv4).collect()
}

/// Serial numbers of certificates that are not believed.
pub fn revoked(parameters: &Parameters) -> BTreeSet<u64> {
    parameters.crl.iter().copied().collect()
}

/// How many tunnels to accept on one port.
pub fn max_clients(parameters: &Parameters, preferences: &Preferences) -> usize {
    preferences.max_clients.unwrap_or(parameters.max_clients) as usize
}

/// The keys of Babel; `None` if packets are neither signed nor checked.
pub fn babel_keys(parameters: &Parameters) -> Option<Keys> {
    let key = |key: &Option<BabelKey>| {
        let octets = key.as_ref().map(|BabelKey(octets)| octets)?;
        Key::new(Hash::Blake2s128, octets).ok()
    };
    let sign = key(&parameters.babel_hmac_sign)?;
    Some(Keys {
        sign: vec![sign],
        accept: key(&parameters.babel_hmac_accept).into_iter().collect(),
    })
}

/// How Babel behaves on a tunnel: babeld's words, of which those about delay count.
pub fn babel_tunnel(parameters: &Parameters) -> InterfaceSettings {
    let mut settings = InterfaceSettings::tunnel(parameters.hello);
    settings.rtt = Some(rtt(&parameters.babel_default));
    settings
}

/// How Babel behaves on a LAN.
pub fn babel_lan(parameters: &Parameters) -> InterfaceSettings {
    InterfaceSettings::wired(parameters.hello)
}

fn rtt(text: &str) -> RttSettings {
    let mut settings = RttSettings::RE6ST;
    let pairs: Vec<&str> = text.split_whitespace().collect();
    for pair in pairs.windows(2) {
        let round_trip = || words::round_trip(pair[1]);
        match pair[0] {
            "rtt-min" => settings.min = round_trip().unwrap_or(settings.min),
            "rtt-max" => settings.max = round_trip().unwrap_or(settings.max),
            "max-rtt-penalty" => {
                settings.penalty_max = pair[1].parse().unwrap_or(settings.penalty_max);
            }
            "rtt-decay" => {
                settings.decay = words::number16(pair[1], 1..=256).unwrap_or(settings.decay);
            }
            _ => {}
        }
    }
    settings
}

/// What tunnels are protected with.
pub fn ciphers(parameters: &Parameters) -> Vec<Cipher> {
    ciphers_if(parameters.encrypt)
}

/// What tunnels are protected with in a network that encrypts, or does not.
pub fn ciphers_if(encrypt: bool) -> Vec<Cipher> {
    if encrypt { Cipher::ENCRYPTING.to_vec() } else { vec![Cipher::None] }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parameters() -> Parameters {
        let map = json!({
            "version": [1, 2], "protocol": 10, "registry_prefix": "00", "hello": 4,
            "encrypt": true, "crl": [3, 5], "babel_default": "max-rtt-penalty 5000 rtt-max 400.5",
            "same_country": ["CN"], "ipv4": "10.43.0.0/16", "ipv4_sublen": 8,
            "valid_until": 99, "news": {"a": 1},
        });
        let serde_json::Value::Object(map) = map else { panic!() };
        let mut parameters = Parameters::from_map(map).unwrap();
        parameters.babel_hmac_sign = Some(BabelKey(vec![7; 16]));
        parameters.babel_hmac_accept = Some(BabelKey(Vec::new()));
        parameters
    }

    #[test]
    fn parameters_survive_the_state_folder() {
        let parameters = parameters();
        assert_eq!(from_rows(to_rows(&parameters)), Ok(parameters));
    }

    #[test]
    fn rows_that_are_no_parameters_are_refused() {
        assert!(from_rows(Vec::new()).is_err());
        let rows = vec![("crl:json".to_owned(), Value::Text("[".into()))];
        assert_eq!(from_rows(rows), Err(ParametersError::Json));
    }

    #[test]
    fn delay_counts_as_the_network_says() {
        let rtt = babel_tunnel(&parameters()).rtt.unwrap();
        assert_eq!((rtt.penalty_max, rtt.max), (5000, Duration::from_micros(400_500)));
        assert_eq!(rtt.decay, RttSettings::RE6ST.decay);
    }

    #[test]
    fn delay_that_makes_no_sense_does_not_count() {
        for nonsense in ["rtt-min -5", "rtt-max 1e300 rtt-min NaN", "rtt-decay 257", "rtt-decay 0"]
        {
            assert_eq!(super::rtt(nonsense), RttSettings::RE6ST, "{nonsense}");
        }
        assert_eq!(super::rtt("rtt-decay 256").decay, 256);
    }

    #[test]
    fn an_empty_key_accepts_nothing_more() {
        let keys = babel_keys(&parameters()).unwrap();
        assert_eq!((keys.sign.len(), keys.accept.len()), (1, 0));
    }
}
