//! What a hostile network can do to a handshake and to a session, octet by octet.

use std::time::Duration;

use crate::proto::random::Random;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::control_keys::ControlProtection;
use crate::proto::tunnel::key_file::StaticKey;
use crate::proto::tunnel::kind::Role;
use crate::proto::tunnel::pair::{FINE, STORMY, World};
use crate::proto::tunnel::session::Input;

fn crypt(seed: u64) -> ControlProtection {
    let octets: [u8; 256] = Random::from_number(seed).octets();
    ControlProtection::Crypt(Box::new(StaticKey::from_octets(&octets).unwrap()))
}

/// An octet of every fourth control packet is damaged, at another place each time.
#[test]
fn damage_anywhere_delays_a_handshake_and_ends_it_with_a_reason_at_worst() {
    let (mut up, mut down) = (0, 0);
    for at in 0..90 {
        let mut world = World::new(at, FINE, &[Cipher::Aes256Gcm]);
        world.damage = Some((at as usize * 13 % 1_200, 4));
        world.connect();
        world.run(Duration::from_secs(61));
        let ends = [&world.client, &world.server];
        if ends.iter().all(|end| end.established.is_some()) {
            up += 1;
            assert!(world.passes_both_ways(), "octet {at}");
        } else {
            down += 1;
            assert!(world.client.closed.is_some(), "octet {at}: neither up nor a reason");
        }
    }
    // Without protection whoever damages TLS ends it; what is not TLS is repeated.
    assert!(up > 0 && up + down == 90, "{up} up");
}

#[test]
fn with_tls_crypt_damage_anywhere_only_delays() {
    for at in 0..60 {
        let mut world = World::new(at, FINE, &[Cipher::Aes256Gcm]);
        world.protect(&crypt(1), &crypt(1));
        world.damage = Some((at as usize * 17 % 1_200, 4));
        world.connect();
        world.run(Duration::from_secs(60));
        assert!(world.client.established.is_some(), "octet {at}: {:?}", world.client.closed);
        assert!(world.passes_both_ways(), "octet {at}");
    }
}

#[test]
fn a_protected_handshake_survives_a_storm_and_other_keys_get_no_answer() {
    for seed in 0..10 {
        let mut world = World::new(seed, STORMY, &[Cipher::Aes256Gcm]);
        world.protect(&crypt(1), &crypt(1));
        world.connect();
        world.run(Duration::from_secs(60));
        assert!(world.client.established.is_some(), "seed {seed}: {:?}", world.client.closed);
    }
    let mut world = World::new(1, FINE, &[Cipher::Aes256Gcm]);
    world.protect(&crypt(2), &crypt(1));
    world.connect();
    world.run(Duration::from_secs(61));
    assert!(world.server.session.is_none(), "a stranger must cost nothing");
    let reason = world.client.closed.clone().unwrap().to_string();
    assert_eq!(reason, "no answer within 60 s");
}

/// Every control packet that was ever sent comes once more, and so do resets with the right session.
#[test]
fn replayed_packets_and_spoofed_resets_change_nothing() {
    for protection in [ControlProtection::None, crypt(1)] {
        let mut world = World::new(3, FINE, &[Cipher::Aes256Gcm]);
        world.protect(&protection, &protection);
        world.record = true;
        world.connect();
        world.run(Duration::from_secs(2));
        assert!(world.passes_both_ways());
        let recorded = std::mem::take(&mut world.recorded);
        assert!(recorded.len() > 5);
        for (to, packet) in recorded {
            world.give(to, Input::Packet(&packet));
            for opcode in [3_u8, 7, 8, 10] {
                let mut reset = packet[..9.min(packet.len())].to_vec();
                reset[0] = opcode << 3;
                reset.extend_from_slice(&[0, 0, 0, 0, 0]);
                world.give(to, Input::Packet(&reset));
            }
        }
        world.run(Duration::from_secs(5));
        assert!(world.client.closed.is_none() && world.server.closed.is_none());
        assert!(world.passes_both_ways());
        assert_eq!((world.client.rekeyed, world.server.rekeyed), (0, 0));
        world.give(Role::Client, Input::Renegotiate);
        world.run(Duration::from_secs(3));
        assert_eq!((world.client.rekeyed, world.server.rekeyed), (1, 1));
    }
}

/// How the handshake ends when one octet of one packet is changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Up,
    Reason,
}

fn fate(protection: &ControlProtection, packet: usize, octet: usize) -> Fate {
    let mut world = World::new(7, FINE, &[Cipher::Aes256Gcm]);
    world.protect(protection, protection);
    world.damage_once = Some((packet, octet));
    world.connect();
    world.run(Duration::from_secs(62));
    if world.passes_both_ways() {
        return Fate::Up;
    }
    assert!(
        world.client.closed.is_some(),
        "packet {packet}, octet {octet}: neither up nor a reason"
    );
    Fate::Reason
}

/// The lengths of the packets of an undisturbed handshake.
fn lengths(protection: &ControlProtection) -> Vec<usize> {
    let mut world = World::new(7, FINE, &[Cipher::Aes256Gcm]);
    world.protect(protection, protection);
    world.record = true;
    world.connect();
    world.run(Duration::from_secs(2));
    assert!(world.passes_both_ways());
    world.recorded.iter().map(|(_, packet)| packet.len()).collect()
}

/// Every `step`th octet of all packets of a handshake is changed, one in each handshake.
fn damage_every(step: usize, protection: &ControlProtection) -> [usize; 2] {
    let lengths = lengths(protection);
    let octets = lengths
        .iter()
        .enumerate()
        .flat_map(|(packet, &length)| (0..length).map(move |octet| (packet, octet)));
    let mut fates = [0; 2];
    for (packet, octet) in octets.step_by(step) {
        fates[fate(protection, packet, octet) as usize] += 1;
    }
    fates
}

#[test]
fn one_changed_octet_anywhere_is_survived_or_has_a_reason() {
    let [up, _] = damage_every(97, &ControlProtection::None);
    assert!(up > 0);
    let [_, reason] = damage_every(97, &crypt(1));
    assert_eq!(reason, 0, "what is protected is only delayed");
}

#[test]
#[ignore = "minutes: scripts/soak tunnel-hostile"]
fn every_octet_of_every_control_packet_may_be_changed() {
    let [up, reason] = damage_every(1, &ControlProtection::None);
    assert!(up > 0 && reason > 0, "{up} came up, {reason} ended with a reason");
    let [_, reason] = damage_every(1, &crypt(1));
    assert_eq!(reason, 0, "what is protected is only delayed");
}
