//! Sessions captured between OpenVPN 2.4 and 2.6, with their secrets: read, derived, opened, sealed again.

use serde_json::Value;

use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::data::{DirectionKey, Opener, Sealer};
use crate::proto::tunnel::exchange::{ClientExchange, ServerExchange};
use crate::proto::tunnel::keys::Keys;
use crate::proto::tunnel::kind::{Device, Role, Underlay};
use crate::proto::tunnel::packet::{ControlPacket, Opcode, kind};
use crate::proto::tunnel::session::{EXIT, PING};
use crate::proto::tunnel::settings::{PeerInformation, PushReply, choose_cipher, option_string};

fn sessions() -> serde_json::Map<String, Value> {
    let text = include_str!("../../../tests/vectors/openvpn24.json");
    let all: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
    all.into_iter().filter(|(_, session)| session.is_object()).collect()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let octets = (0..text.len()).step_by(2);
    octets.map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap(), 16).unwrap()
}

fn cipher(session: &Value) -> Option<Cipher> {
    match session["mode"].as_str().unwrap() {
        mode if mode.starts_with("AES-256-GCM") => Some(Cipher::Aes256Gcm),
        mode if mode.starts_with("cipher none") => Some(Cipher::None),
        _ => None,
    }
}

fn exchanges(session: &Value) -> (ClientExchange, ServerExchange) {
    let client = ClientExchange::parse(&hex(&session["client_key_method2"])).unwrap();
    let server = ServerExchange::parse(&hex(&session["server_key_method2"])).unwrap();
    (client, server)
}

fn keys(session: &Value) -> Keys {
    let (client, server) = exchanges(session);
    let ids = (number(&session["client_session_id"]), number(&session["server_session_id"]));
    Keys::derive(&client.source, &server.source, ids).unwrap()
}

#[test]
fn the_keys_are_those_of_openvpn() {
    for (name, session) in sessions() {
        let keys = keys(&session);
        let parts =
            [&keys.client.cipher, &keys.client.hmac, &keys.server.cipher, &keys.server.hmac];
        let octets = parts.map(|part| part.to_vec()).concat();
        assert_eq!(octets, hex(&session["key_expansion_256"]), "{name}");
    }
}

#[test]
fn key_exchanges_are_read_and_written_as_they_were() {
    for (name, session) in sessions() {
        let (client, server) = exchanges(&session);
        assert_eq!(client.to_bytes(), hex(&session["client_key_method2"]), "{name}");
        assert_eq!(server.to_bytes(), hex(&session["server_key_method2"]), "{name}");
    }
}

#[test]
fn option_strings_and_ciphers_are_those_of_stock_networks() {
    let udp = Underlay { transport: crate::proto::endpoint::Transport::Udp, ipv6: false };
    for (name, session) in sessions() {
        let Some(cipher) = cipher(&session) else { continue };
        let (client, server) = exchanges(&session);
        let encrypted = cipher != Cipher::None;
        if name.contains("c24") {
            let ours = option_string(Role::Client, udp, Device::Tap, encrypted);
            assert_eq!(client.options, ours, "{name}");
        }
        if name.contains("s24") {
            let ours = option_string(Role::Server, udp, Device::Tap, encrypted);
            assert_eq!(server.options, ours, "{name}");
        }
        let peer = PeerInformation::parse(&client.peer_information);
        assert_eq!(choose_cipher(&[cipher], &peer, &client.options), Some(cipher), "{name}");
        assert!(peer.data_v2, "{name}");
    }
}

#[test]
fn push_replies_are_understood() {
    for (name, session) in sessions() {
        let Some(cipher) = cipher(&session) else { continue };
        let texts = session["control_strings"].as_array().unwrap().iter();
        let texts = texts.map(|text| String::from_utf8(hex(&text[1])).unwrap());
        let texts: Vec<_> = texts.map(|text| text.trim_end_matches('\0').to_owned()).collect();
        assert_eq!(texts[0], "PUSH_REQUEST", "{name}");
        let mut reply = PushReply::default();
        reply.read(texts[1].strip_prefix("PUSH_REPLY,").unwrap()).unwrap();
        assert_eq!(reply.peer_id, Some(0), "{name}");
        assert!(reply.external_ip.is_some(), "{name}");
        assert_eq!(reply.cipher.unwrap_or(Cipher::None), cipher, "{name}");
        if !reply.tls_export {
            assert_eq!(reply.to_text(), texts[1], "{name}");
        }
    }
}

#[test]
fn control_packets_are_read_and_written_as_they_were() {
    let mut count = 0;
    for (name, session) in sessions() {
        for packet in session["control_packets"].as_array().unwrap() {
            // Long ones are cut in the file, after the header.
            let text = packet[2].as_str().unwrap().trim_end_matches('.');
            let octets = hex(&Value::from(text));
            let parsed = ControlPacket::parse(&octets).unwrap();
            assert_eq!(parsed.to_bytes(), octets, "{name}");
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn frames_are_opened_and_sealed_again_to_the_same_octets() {
    let (mut count, mut pings, mut exits) = (0, 0, 0);
    for (name, session) in sessions() {
        let Some(cipher) = cipher(&session) else { continue };
        let keys = keys(&session);
        let open = |key: &DirectionKey| Opener::new(cipher, key, 0);
        let (mut from_client, mut from_server) = (open(&keys.client), open(&keys.server));
        for packet in session["data_packets"].as_array().unwrap() {
            let (key, opener) = match packet[0].as_str().unwrap() {
                "C>S" => (&keys.client, &mut from_client),
                _ => (&keys.server, &mut from_server),
            };
            let octets = hex(&packet[2]);
            let frame = opener.open(&mut octets.clone()).unwrap().to_vec();
            pings += u32::from(frame == PING);
            exits += u32::from(frame == EXIT);
            assert_eq!(seal_again(cipher, key, &octets, &frame), octets, "{name}");
            count += 1;
        }
    }
    assert!((count, pings, exits) >= (45, 2, 4), "{count} {pings} {exits}");
}

/// A 2.4 server without encryption begins with V1, before it has pushed a number to its client, and goes on
/// with V2: the numbers of packets go on, and one key opens both.
#[test]
fn versions_1_and_2_of_data_follow_each_other_under_one_key() {
    let mut mixed = 0;
    for (name, session) in sessions() {
        if cipher(&session) != Some(Cipher::None) {
            continue;
        }
        let mut opener = Opener::new(Cipher::None, &keys(&session).server, 0);
        let packets = session["data_packets"].as_array().unwrap().iter();
        let packets = packets.filter(|packet| packet[0] != "C>S").map(|packet| hex(&packet[2]));
        let packets: Vec<_> = packets.collect();
        let versions: Vec<_> = packets.iter().map(|packet| kind(packet[0]).0).collect();
        mixed += u32::from(
            versions.windows(2).any(|two| two == [Some(Opcode::DataV1), Some(Opcode::DataV2)]),
        );
        for packet in packets {
            assert!(opener.open(&mut packet.clone()).is_ok(), "{name}");
            assert!(opener.open(&mut packet.clone()).is_err(), "{name}: twice");
        }
    }
    assert!(mixed > 0, "no session has both");
}

fn seal_again(cipher: Cipher, key: &DirectionKey, octets: &[u8], frame: &[u8]) -> Vec<u8> {
    let (opcode, key_id) = kind(octets[0]);
    let header = if opcode == Some(Opcode::DataV2) { 4 } else { 1 };
    let peer_id = (header == 4).then(|| u32::from_be_bytes([0, octets[1], octets[2], octets[3]]));
    let at = if cipher == Cipher::None { header + 20 } else { header };
    let number = u32::from_be_bytes(octets[at..at + 4].try_into().unwrap());
    let mut sealer = Sealer::new(cipher, key, key_id, peer_id).after(number - 1);
    let mut packet = [&vec![0; sealer.overhead()], frame].concat();
    sealer.seal(&mut packet).unwrap();
    packet
}

#[test]
fn what_is_not_spoken_here_is_refused_by_name() {
    let session = &sessions()["bfcbc"];
    let text = String::from_utf8(hex(&session["control_strings"][1][1])).unwrap();
    let (client, _) = exchanges(session);
    let peer = PeerInformation::parse(&client.peer_information);
    assert_eq!(choose_cipher(&Cipher::ENCRYPTING, &peer, &client.options), None, "{text}");
}
