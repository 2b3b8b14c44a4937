//! Peers unlike ours: servers that push what ours never would, and clients that know less.

use std::time::Duration;

use crate::proto::time::Instant;
use crate::proto::tunnel::agreement::Disagreement;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::kind::Role;
use crate::proto::tunnel::pair::{FINE, World};
use crate::proto::tunnel::session::{Input, Progress, Reason, Session};

const GCM: [Cipher; 1] = [Cipher::Aes256Gcm];

/// What a client that offered AES-256-GCM makes of a reply.
fn pushed(reply: &str) -> Result<(), Reason> {
    let mut world = World::new(2, FINE, &GCM);
    world.connect();
    let is_asking = |session: &Session| matches!(session.progress, Progress::Asking { .. });
    while !world.client.session.as_ref().is_some_and(is_asking) {
        world.run(Duration::from_millis(1));
    }
    let client = world.client.session.as_mut().unwrap();
    client.handle_text(&format!("PUSH_REPLY,{reply}"), Instant::ZERO, &mut Vec::new())
}

#[test]
fn a_client_takes_no_cipher_that_it_did_not_offer_and_no_compression() {
    assert_eq!(pushed("peer-id 3,cipher AES-256-GCM"), Ok(()));
    let ours = GCM.to_vec();
    for (reply, wanted) in [
        ("peer-id 3,cipher none", Disagreement::PeerIsPlain(ours.clone())),
        ("peer-id 3,cipher AES-128-GCM", Disagreement::Cipher(ours.clone())),
        ("peer-id 3", Disagreement::Cipher(ours)),
        ("cipher AES-256-GCM,comp-lzo no", Disagreement::Compression("comp-lzo no".to_owned())),
        (
            "compress lz4-v2,cipher AES-256-GCM",
            Disagreement::Compression("compress lz4-v2".to_owned()),
        ),
    ] {
        assert_eq!(pushed(reply), Err(wanted.into()), "{reply}");
    }
    assert!(matches!(pushed("cipher BF-CBC"), Err(Reason::UnknownPush(_))));
}

/// Data V2 and TLS's exporter are for clients that said so.
#[test]
fn a_client_that_knows_less_is_not_given_more() {
    for (information, export, numbered) in [
        ("IV_NCP=2\n", false, false),
        ("IV_VER=2.4.7\nIV_PROTO=2\nIV_NCP=2\n", false, true),
        ("IV_PROTO=10\nIV_CIPHERS=AES-256-GCM\n", true, true),
    ] {
        let mut world = World::new(2, FINE, &GCM);
        world.connect();
        let client = world.client.session.as_mut().unwrap();
        client.pending.as_mut().unwrap().say_of_ourselves(information);
        world.run(Duration::from_secs(1));
        assert!(world.passes_both_ways(), "{information}");
        for end in [&world.client, &world.server] {
            let protection = end.session.as_ref().unwrap().protection.unwrap();
            let found = (protection.export, protection.peer_id.is_some());
            assert_eq!(found, (export, numbered), "{information}");
        }
    }
}

/// As with OpenVPN's `keepalive`: the client gives up first, and comes again.
#[test]
fn a_server_waits_twice_as_long_for_a_client_as_that_for_it() {
    let mut world = World::new(2, FINE, &GCM);
    world.settings.1.ping = Some(Duration::from_secs(10));
    world.settings.1.ping_exit = Duration::from_secs(30);
    world.connect();
    let client = world.client.session.as_mut().unwrap();
    client.pending.as_mut().unwrap().say_of_ourselves("IV_PROTO=2\nIV_NCP=2\n");
    world.run(Duration::from_secs(1));
    let patience = [&world.client, &world.server].map(|end| {
        let session = end.session.as_ref().unwrap();
        session.settings.ping_exit.as_secs()
    });
    assert_eq!(patience, [30, 60]);
}

#[test]
fn keys_are_exported_from_tls_only_where_that_was_agreed() {
    let mut world = World::new(2, FINE, &GCM);
    world.connect();
    world.run(Duration::from_secs(1));
    assert!(world.passes_both_ways());
    let client = world.client.session.as_mut().unwrap();
    client.protection.as_mut().unwrap().export = false;
    world.give(Role::Client, Input::Renegotiate);
    world.run(Duration::from_secs(5));
    assert_eq!((world.client.rekeyed, world.server.rekeyed), (1, 1));
    assert!(!world.passes_both_ways(), "one end derives keys with the PRF, the other exports them");
}
