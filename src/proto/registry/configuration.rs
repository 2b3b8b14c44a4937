//! The registry's side of the network's parameters: what the operator set, as stock stores and sends it.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::{Map, Serializer, Value, json};

use crate::proto::cidr::Cidr;
use crate::proto::prefix::Prefix;
use crate::proto::registry::PROTOCOL;
use crate::proto::registry::parameters::CRL_SIGNED;
use crate::proto::time::UnixTime;

/// What Babel does by default on every interface, in babeld's words.
const BABEL_DEFAULT: &str = "max-rtt-penalty 5000 rtt-max 500 rtt-decay 125";

/// What the operator sets for the whole network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Seconds between Babel's Hellos.
    pub hello: u16,
    /// Whether tunnels are encrypted.
    pub encrypt: bool,
    /// How many tunnels a node makes.
    pub client_count: u32,
    /// How many tunnels a node accepts.
    pub max_clients: u32,
    /// Seconds after which a node replaces its worst tunnel.
    pub tunnel_refresh: u32,
    /// The oldest protocol that peers may speak.
    pub min_protocol: u32,
    /// Countries whose borders no tunnel crosses.
    pub same_country: Vec<String>,
    /// The IPv4 network, and how many bits of it name a node.
    pub ipv4: Option<(Cidr, u8)>,
}

/// What is sent along with the settings.
pub struct Sent<'a> {
    /// The signed network version.
    pub version: &'a [u8],
    /// The signed revocation list of that version, if there is one.
    pub crl_signed: Option<&'a [u8]>,
    /// Keys of Babel's, sealed for the node that asks; an empty one stays empty.
    pub babel_hmac: Vec<(&'static str, Vec<u8>)>,
    /// When nodes ask again without having heard of a newer version.
    pub valid_until: Option<UnixTime>,
}

impl Settings {
    /// The settings with what the database adds.
    pub fn parameters(&self, registry_prefix: Prefix, crl: &[u64]) -> Map<String, Value> {
        let mut map = Map::new();
        let mut put = |name: &str, value| map.insert(name.into(), value);
        put("babel_default", BABEL_DEFAULT.into());
        put("client_count", self.client_count.into());
        put("crl", json!(crl));
        put("encrypt", self.encrypt.into());
        put("hello", self.hello.into());
        put("max_clients", self.max_clients.into());
        put("min_protocol", self.min_protocol.into());
        put("protocol", PROTOCOL.into());
        put("registry_prefix", registry_prefix.to_bits().into());
        put("tunnel_refresh", self.tunnel_refresh.into());
        if let Some((network, node_bits)) = self.ipv4 {
            put("ipv4", network.to_string().into());
            put("ipv4_sublen", node_bits.into());
        }
        if !self.same_country.is_empty() {
            put("same_country", json!(self.same_country));
        }
        map
    }
}

/// The text by which the database tells whether parameters changed; as stock writes it, so that changing
/// from one to the other is no change.
pub fn stored_text(parameters: &Map<String, Value>) -> String {
    // A map of serde_json's is in the order of its keys, as the stored form is.
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, Spaced);
    parameters.serialize(&mut serializer).expect("a map of JSON values can be written to memory");
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// The answer to getNetworkConfig.
pub fn encode(mut parameters: Map<String, Value>, sent: &Sent<'_>) -> Vec<u8> {
    let mut binary = vec!["version"];
    parameters.insert("version".into(), STANDARD.encode(sent.version).into());
    if let Some(crl) = sent.crl_signed {
        binary.push(CRL_SIGNED);
        parameters.insert(CRL_SIGNED.into(), STANDARD.encode(crl).into());
    }
    parameters.insert(String::new(), json!(binary));
    for (name, sealed) in &sent.babel_hmac {
        parameters.insert((*name).into(), STANDARD.encode(sealed).into());
    }
    if let Some(until) = sent.valid_until {
        parameters.insert("valid_until".into(), until.as_secs().into());
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let text = stored_text(&parameters);
    encoder.write_all(text.as_bytes()).expect("memory takes what is written");
    encoder.finish().expect("memory takes what is written")
}

/// JSON as Python writes it: a space after commas and colons.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}
