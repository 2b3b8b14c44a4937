//! Tunnels: control packets, frames of devices, and what both ends tell each other in words.

use std::net::SocketAddr;

use re6st::proto::random::Random;
use re6st::proto::time::{Instant, UnixTime};
use re6st::proto::tunnel::cipher::Cipher;
use re6st::proto::tunnel::coalesce::{Coalescer, Datagrams};
use re6st::proto::tunnel::control_keys::ControlProtection;
use re6st::proto::tunnel::cookie::{Cookies, Stranger};
use re6st::proto::tunnel::data::Opener;
use re6st::proto::tunnel::exchange::{ClientExchange, ServerExchange};
use re6st::proto::tunnel::headers::Headers;
use re6st::proto::tunnel::keys::{KEYS_OCTETS, Keys};
use re6st::proto::tunnel::liveness::Probe;
use re6st::proto::tunnel::ovpn;
use re6st::proto::tunnel::packet::ControlPacket;
use re6st::proto::tunnel::segment::Segments;
use re6st::proto::tunnel::settings::{Device, PeerInformation, PushReply};

use super::choices::Choices;

/// Any octets as a packet: control, data, a stranger's first.
pub fn tunnel_packet(octets: &[u8]) {
    if let Ok(packet) = ControlPacket::parse(octets) {
        assert_eq!(packet.to_bytes(), octets);
    }
    let mut random = Random::from_number(7);
    let cookies = Cookies::new(ControlProtection::None, UnixTime::default(), &mut random);
    let from: SocketAddr = ([192, 0, 2, 1], 1194).into();
    if let Stranger::Asks(answer) = cookies.judge(octets, from, Instant::ZERO) {
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

/// Any octets as what is said over TLS: exchanges, option strings, pushed options.
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
    let _ = ovpn::parse(octets);
    let _ = PeerInformation::parse(&text);
    let mut reply = PushReply::default();
    if reply.read(&text).is_ok() {
        // We never say these two ourselves.
        (reply.continues, reply.compression) = (false, None);
        let written = reply.to_text();
        let options = written.strip_prefix("PUSH_REPLY,").unwrap_or_default();
        let mut again = PushReply::default();
        again.read(options).expect("what was written is understood");
        assert_eq!(again, reply);
    }
}
