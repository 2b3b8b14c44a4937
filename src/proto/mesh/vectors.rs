//! The captured packets and throw-away keys of a stock network, for tests.

use openssl::pkey::PKey;
use serde_json::Value;

use crate::proto::certificate::{Authority, Certificate, Identity, PrivateKey};

pub fn packets() -> Vec<Value> {
    let text = include_str!("../../../tests/vectors/vectors.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    vectors["udp326"].as_array().unwrap().clone()
}

pub fn octets(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// `reg`, `h1` to `h4` of the captured network.
pub fn identity(name: &str) -> Identity {
    let keys = include_str!("../../../tests/vectors/keys.json");
    let keys: Value = serde_json::from_str(keys).unwrap();
    let certificate =
        |name: &str| Certificate::from_der(&octets(&keys[name]["certificate_der_hex"])).unwrap();
    let key = PKey::private_key_from_der(&octets(&keys[name]["pkcs8_or_pkcs1_der_hex"])).unwrap();
    let certificate_of_node = certificate(name);
    Identity {
        authority: Authority::new(certificate("ca")).unwrap(),
        prefix: certificate_of_node.prefix().unwrap(),
        certificate: certificate_of_node,
        key: std::sync::Arc::new(PrivateKey::from_pkey(key)),
    }
}
