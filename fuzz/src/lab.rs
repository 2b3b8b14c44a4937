//! The emulated Internet: IP packets, address translation, scenarios.

use std::net::Ipv4Addr;
use std::sync::OnceLock;

use re6st::proto::lab::internet::{Input, Internet};
use re6st::proto::lab::nat::Nat;
use re6st::proto::lab::packet::{End, Header, Ipv4, too_big};
use re6st::proto::lab::scenario::Scenario;
use re6st::proto::random::Random;
use re6st::proto::time::Instant;

use super::choices::Choices;

/// Any octets as packets: looked at, translated both ways, sent through an Internet with a NAT.
pub fn lab_packet(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let mut nat = Nat::new(Ipv4Addr::new(203, 0, 113, 1));
    let mut internet = Internet::new(scenario().clone(), Random::from_number(7));
    let (mut now, mut out) = (Instant::ZERO, Vec::new());
    for _ in 0..100 {
        if choices.is_empty() {
            break;
        }
        now += choices.time();
        let host = usize::from(choices.below(4));
        let packet = packet(&mut choices);
        look_at(&packet);
        let mut translated = packet.clone();
        if choices.flip() {
            let _ = nat.outbound(&mut translated, now);
        } else {
            let _ = nat.inbound(&mut translated, now);
        }
        let octets = packet;
        let input = if choices.flip() {
            Input::Packet { host, octets }
        } else {
            Input::Frame { host, octets }
        };
        internet.handle(input, now, &mut out);
        internet.handle(Input::Timer, now, &mut out);
        assert!(internet.deadline().is_none_or(|due| due > now), "what is due was not done");
        out.clear();
    }
}

/// A scenario in TOML.
pub fn lab_scenario(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let Ok(scenario) = Scenario::parse(text) else { return };
    if scenario.check().is_ok() && scenario.hosts.len() <= 16 {
        let _ = Internet::new(scenario, Random::from_number(7));
    }
}

fn look_at(packet: &[u8]) {
    let _ = Header::parse(packet);
    let _ = too_big(packet, 1280);
    let mut octets = packet.to_vec();
    if let Some(mut ip) = Ipv4::parse(&mut octets) {
        let _ = ip.port(End::Source);
        ip.rewrite(End::Destination, Ipv4Addr::LOCALHOST, 9);
        if let Some(mut quoted) = ip.quoted() {
            quoted.rewrite(End::Source, Ipv4Addr::LOCALHOST, 9);
        }
        ip.renew_icmp_checksum();
    }
}

/// Any octets, or a header that makes sense with any octets behind.
fn packet(choices: &mut Choices<'_>) -> Vec<u8> {
    if choices.flip() {
        return choices.octets().to_vec();
    }
    let (from, to) = (address(choices), address(choices));
    let protocol = [1, 6, 17, choices.u8()][usize::from(choices.below(4))];
    let body = choices.octets();
    let length = u16::try_from(20 + body.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, protocol, 0, 0];
    packet.extend_from_slice(&from.octets());
    packet.extend_from_slice(&to.octets());
    packet.extend_from_slice(body);
    packet
}

fn address(choices: &mut Choices<'_>) -> Ipv4Addr {
    let number = choices.u8();
    match number % 6 {
        0 => Ipv4Addr::new(203, 0, 113, 1),
        1 => Ipv4Addr::new(192, 168, 1, number),
        host => match scenario().hosts[usize::from(host) - 2].ipv4 {
            Some(address) => address,
            None => Ipv4Addr::from_bits(choices.u32()),
        },
    }
}

fn scenario() -> &'static Scenario {
    static SCENARIO: OnceLock<Scenario> = OnceLock::new();
    SCENARIO.get_or_init(|| Scenario::parse(SCENARIO_TEXT).expect("a scenario"))
}

const SCENARIO_TEXT: &str = r#"
jitter_ms = 1.0
[[host]]
name = "paris"
region = "france"
ipv4 = "198.51.100.1"
lan = "office"
[[host]]
name = "lyon"
region = "france"
ipv4 = "192.168.1.2"
nat = "203.0.113.7"
forward = [1194]
lan = "office"
[[host]]
name = "nice"
region = "france"
ipv4 = "192.168.1.3"
nat = "203.0.113.7"
[[host]]
name = "tokyo"
region = "japan"
ipv4 = "198.51.100.2"
ipv6 = "2001:db8:ffff::2"
[rtt_ms]
france = { japan = 240, france = 5 }
[[path]]
between = ["paris", "tokyo"]
mtu = 1280
loss_ratio = 0.1
bandwidth_mbit = 1.0
"#;
