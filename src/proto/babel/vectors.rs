//! Packets that babeld sent, for tests.

use crate::proto::babel::mac::Path;

/// The key they are signed with.
pub fn key() -> Vec<u8> {
    from_hex(json()["key"].as_str().unwrap())
}

/// The packets and their addresses.
pub fn packets() -> Vec<(Path, Vec<u8>)> {
    let json = json();
    let packets = json["packets"].as_array().unwrap();
    let address = |text: &serde_json::Value| text.as_str().unwrap().parse().unwrap();
    let packet = |packet: &serde_json::Value| {
        let path = Path { from: address(&packet["from"]), to: address(&packet["to"]) };
        (path, from_hex(packet["octets"].as_str().unwrap()))
    };
    packets.iter().map(packet).collect()
}

fn json() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../tests/vectors/babel.json")).unwrap()
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
