//! Tunnels: control packets, frames of devices, and what both ends tell each other in words.

use std::net::SocketAddr;

use re6st::proto::random::Random;
use re6st::proto::time::{Instant, UnixTime};
use re6st::proto::tunnel::agreement::{cipher_disagreement, digest_disagreement, disagreement};
use re6st::proto::tunnel::assigned::Assigned;
use re6st::proto::tunnel::cipher::Cipher;
use re6st::proto::tunnel::coalesce::{Coalescer, Datagrams};
use re6st::proto::tunnel::control_keys::ControlProtection;
use re6st::proto::tunnel::cookie::{Cookies, Stranger};
use re6st::proto::tunnel::data::Opener;
use re6st::proto::tunnel::exchange::{ClientExchange, ServerExchange};
use re6st::proto::tunnel::headers::Headers;
use re6st::proto::tunnel::key_file::StaticKey;
use re6st::proto::tunnel::keys::{KEYS_OCTETS, Keys};
use re6st::proto::tunnel::kind::Device;
use re6st::proto::tunnel::liveness::Probe;
use re6st::proto::tunnel::ovpn;
use re6st::proto::tunnel::packet::ControlPacket;
use re6st::proto::tunnel::profile::Profile;
use re6st::proto::tunnel::segment::Segments;
use re6st::proto::tunnel::settings::{PeerInformation, PushReply, choose_cipher};

use super::choices::Choices;

/// Any octets as a packet: control, data, a stranger's first.
pub fn tunnel_packet(octets: &[u8]) {
    if let Ok(packet) = ControlPacket::parse(octets) {
        assert_eq!(packet.to_bytes(), octets);
    }
    let mut random = Random::from_number(7);
    let cookies = Cookies::new(ControlProtection::None, UnixTime::default(), &mut random);
    let from: SocketAddr = ([192, 0, 2, 1], 1194).into();
    if let Stranger::Asks(answer) = cookies.judge(octets, from, None, Instant::ZERO) {
        assert!(ControlPacket::parse(&answer).is_ok());
    }
    let keys = Keys::split(&[7; KEYS_OCTETS]);
    for cipher in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305, Cipher::None] {
        let mut opener = Opener::new(cipher, &keys.client, 0);
        assert!(opener.open(&mut octets.to_vec()).is_err(), "nobody sealed that");
    }
    if let Some(probe) = Probe::parse(octets) {
        assert!(Probe::parse(&probe.to_bytes()).is_some());
    }
}

/// Any octets as a frame of a device: its headers, cut into segments, joined with others.
pub fn tunnel_frame(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let device = if choices.flip() { Device::Tap } else { Device::Tun };
    let datagrams = if choices.flip() { Datagrams::Join } else { Datagrams::Single };
    let mut coalescer = Coalescer::new(device, datagrams);
    let mut written = 0;
    let mut pushed = 0;
    while !choices.is_empty() {
        let frame = choices.octets();
        if let Some(headers) = Headers::parse(frame, device) {
            let _ = headers.is_checksum_valid(frame);
        }
        if let Ok(mut segments) = Segments::of(frame, device) {
            let mut out = vec![0; segments.longest()];
            let mut count = 0;
            while let Some(length) = segments.write_next(&mut out) {
                assert!(length <= out.len());
                count += 1;
                assert!(count <= frame.len(), "more segments than octets");
                pushed += length;
                coalescer.push(&out[..length], &mut |super_frame| written += super_frame.len());
            }
        }
        pushed += frame.len();
        coalescer.push(frame, &mut |super_frame| written += super_frame.len());
    }
    coalescer.flush(&mut |super_frame| written += super_frame.len());
    assert!(pushed == 0 || written > 0, "{pushed} octets vanished");
}

/// Any octets as what is said over TLS: exchanges, pushed options.
pub fn tunnel_text(octets: &[u8]) {
    if let Ok(exchange) = ClientExchange::parse(octets) {
        let _ = PeerInformation::parse(&exchange.peer_information);
        let again = ClientExchange::parse(&exchange.to_bytes()).expect("what was written");
        assert_eq!(again.options, exchange.options);
    }
    if let Ok(exchange) = ServerExchange::parse(octets) {
        let again = ServerExchange::parse(&exchange.to_bytes()).expect("what was written");
        assert_eq!(again.options, exchange.options);
    }
    let text = String::from_utf8_lossy(octets);
    let _ = PeerInformation::parse(&text);
    let mut reply = PushReply::default();
    if reply.read(&text).is_ok() {
        // We never say these ourselves.
        (reply.continues, reply.compression) = (false, None);
        reply.assigned = Assigned::default();
        let written = reply.to_text();
        let options = written.strip_prefix("PUSH_REPLY,").unwrap_or_default();
        let mut again = PushReply::default();
        again.read(options).expect("what was written is understood");
        assert_eq!(again, reply);
    }
}

/// Any octets as a file of OpenVPN's: its lines, what they ask for, a key written inside.
///
/// What must hold: lines are numbered in order, what is refused names one of them, and no option is
/// passed over in silence.
pub fn tunnel_profile(octets: &[u8]) {
    let _ = StaticKey::parse(octets);
    let directives = match ovpn::parse(octets) {
        Ok(directives) => directives,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(directives.is_sorted_by(|a, b| a.line < b.line), "lines are in order");
    match Profile::read(&directives) {
        Ok(profile) => {
            let line = |line: &usize| directives.iter().any(|directive| directive.line == *line);
            assert!(profile.passed_over.iter().all(|(at, name)| line(at) && !name.is_empty()));
            assert!(profile.remotes.iter().all(|remote| line(&remote.line)));
            assert!(profile.mtu.is_none_or(|octets| (576..=65_500).contains(&octets)));
        }
        Err(error) => assert!(error.to_string().starts_with("line "), "{error}"),
    }
}

/// Any two texts as the option string and the information of a peer: what is agreed is something that we
/// offered, and what is not has a reason in words.
pub fn tunnel_options(octets: &[u8]) {
    let Some((&[device, ciphers], text)) = octets.split_first_chunk() else { return };
    let device = if device & 1 == 1 { Device::Tap } else { Device::Tun };
    let ours = match ciphers % 3 {
        0 => vec![Cipher::None],
        1 => vec![Cipher::Aes128Gcm],
        _ => Cipher::ENCRYPTING.to_vec(),
    };
    let at = text.iter().position(|&octet| octet == 0).unwrap_or(text.len());
    let (options, information) = text.split_at(at);
    let options = String::from_utf8_lossy(options);
    let information = PeerInformation::parse(&String::from_utf8_lossy(information));
    let said = [disagreement(device, &options), digest_disagreement(&options)];
    assert!(said.into_iter().flatten().all(|said| !said.to_string().is_empty()));
    match choose_cipher(&ours, &information, &options) {
        Some(cipher) => assert!(ours.contains(&cipher), "{cipher} was not offered"),
        None => assert!(!cipher_disagreement(&ours, &options).to_string().is_empty()),
    }
}
