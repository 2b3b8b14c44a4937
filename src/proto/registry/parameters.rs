//! What holds for the whole network: how often to say hello, how many tunnels, which keys, who is revoked.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::proto::certificate::PrivateKey;
use crate::proto::cidr::Cidr;
use crate::proto::limits::PARAMETERS_OCTETS_MAX;
use crate::proto::prefix::Prefix;
use crate::proto::time::UnixTime;

/// The network's parameters.
#[derive(Clone, PartialEq, Debug)]
pub struct Parameters {
    /// The signed network version, as it travels between nodes.
    pub version: Vec<u8>,
    /// The protocol that the registry speaks.
    pub protocol: u32,
    /// The oldest protocol that peers may speak.
    pub min_protocol: u32,
    /// The prefix of the registry's own node.
    pub registry_prefix: Prefix,
    /// The interval between Babel's Hellos; a tunnel without a packet for four of them is dead.
    pub hello: Duration,
    /// Whether tunnels are encrypted.
    pub encrypt: bool,
    /// How many tunnels a node makes.
    pub client_count: u32,
    /// How many tunnels a node accepts.
    pub max_clients: u32,
    /// How often a node replaces its worst tunnel.
    pub tunnel_refresh: Duration,
    /// Options of all Babel interfaces, in babeld's words.
    pub babel_default: String,
    /// The key that authenticates what Babel sends; `None` if the network has none.
    pub babel_hmac_sign: Option<BabelKey>,
    /// A second key that is accepted while keys change.
    pub babel_hmac_accept: Option<BabelKey>,
    /// Serial numbers of revoked certificates.
    pub crl: Vec<u64>,
    /// The same, signed for other nodes; an upstream registry has none.
    pub crl_signed: Option<Vec<u8>>,
    /// Countries whose borders no tunnel crosses.
    pub same_country: Vec<String>,
    /// The IPv4 network, and how many bits of it name a node.
    pub ipv4: Option<(Cidr, u8)>,
    /// When to ask again if no newer version was heard of.
    pub valid_until: Option<UnixTime>,
    /// What a newer registry says and we do not know.
    pub other: BTreeMap<String, Value>,
}

/// A key of Babel's; an empty one stands for packets without a MAC.
#[derive(Clone, PartialEq, Eq)]
pub struct BabelKey(pub Vec<u8>);

/// Never shows the key.
impl fmt::Debug for BabelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BabelKey")
    }
}

/// The name of the signed revocation list.
pub const CRL_SIGNED: &str = "crl_signed";

/// Why a text is not a network's parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParametersError {
    /// Not zlib, or larger than anything sensible.
    #[error("the network's parameters are not compressed as they should be")]
    Compression,
    /// Not a JSON object.
    #[error("the network's parameters are no JSON object")]
    Json,
    /// A parameter that must be there is not, or has another type.
    #[error("the network's parameter {0} is missing or has the wrong type")]
    Parameter(&'static str),
    /// A key that was not sealed for us.
    #[error("the network's parameter {0} was not sealed for this node")]
    Sealed(&'static str),
}

impl Parameters {
    /// Reads the answer to getNetworkConfig; `key` opens what was sealed for this node.
    pub fn parse(body: &[u8], key: &PrivateKey) -> Result<Self, ParametersError> {
        let mut map = decode(body)?;
        let mut sign = None;
        let mut accept = None;
        for (name, slot) in [("babel_hmac_sign", &mut sign), ("babel_hmac_accept", &mut accept)] {
            let Some(sealed) = take::<Vec<u8>>(&mut map, name)? else { continue };
            // An empty value is literal: it says that packets without a MAC will do.
            *slot = Some(BabelKey(if sealed.is_empty() {
                sealed
            } else {
                key.decrypt(&sealed).map_err(|_| ParametersError::Sealed(name))?
            }));
        }
        let mut parameters = Self::from_map(map)?;
        parameters.babel_hmac_sign = sign;
        parameters.babel_hmac_accept = accept;
        Ok(parameters)
    }

    /// Takes all but the keys of Babel.
    pub fn from_map(mut map: Map<String, Value>) -> Result<Self, ParametersError> {
        use ParametersError::Parameter;
        let map = &mut map;
        let registry_prefix = take::<String>(map, "registry_prefix")?
            .and_then(|bits| Prefix::from_bits(&bits).ok())
            .ok_or(Parameter("registry_prefix"))?;
        let client_count = take(map, "client_count")?.unwrap_or(10);
        let ipv4 = take::<String>(map, "ipv4")?;
        let sublen = take(map, "ipv4_sublen")?.unwrap_or_default();
        let ipv4 = ipv4.map(|network| network.parse().map_err(|_| Parameter("ipv4")));
        Ok(Self {
            version: take(map, "version")?.ok_or(Parameter("version"))?,
            protocol: take(map, "protocol")?.ok_or(Parameter("protocol"))?,
            min_protocol: take(map, "min_protocol")?.unwrap_or_default(),
            registry_prefix,
            hello: Duration::from_secs(take::<u16>(map, "hello")?.unwrap_or(15).max(1).into()),
            encrypt: take(map, "encrypt")?.unwrap_or_default(),
            client_count,
            max_clients: take(map, "max_clients")?.unwrap_or(client_count.saturating_mul(2)),
            tunnel_refresh: Duration::from_secs(
                take::<u32>(map, "tunnel_refresh")?.unwrap_or(300).max(1).into(),
            ),
            babel_default: take(map, "babel_default")?.unwrap_or_default(),
            babel_hmac_sign: None,
            babel_hmac_accept: None,
            crl: take(map, "crl")?.unwrap_or_default(),
            crl_signed: take(map, CRL_SIGNED)?,
            same_country: take(map, "same_country")?.unwrap_or_default(),
            ipv4: ipv4.transpose()?.map(|network| (network, sublen)),
            valid_until: take(map, "valid_until")?.map(UnixTime::from_secs),
            other: std::mem::take(map).into_iter().collect(),
        })
    }
}

/// Decompresses and reads the object; values named in its `""` are turned from base64 into octets.
fn decode(body: &[u8]) -> Result<Map<String, Value>, ParametersError> {
    let mut text = Vec::new();
    let mut decoder = ZlibDecoder::new(body).take(PARAMETERS_OCTETS_MAX as u64 + 1);
    decoder.read_to_end(&mut text).map_err(|_| ParametersError::Compression)?;
    if text.len() > PARAMETERS_OCTETS_MAX {
        return Err(ParametersError::Compression);
    }
    let mut map: Map<String, Value> =
        serde_json::from_slice(&text).map_err(|_| ParametersError::Json)?;
    let mut binary: Vec<String> = map
        .remove("")
        .map_or(Ok(Vec::new()), serde_json::from_value)
        .map_err(|_| ParametersError::Json)?;
    binary.extend(["babel_hmac_sign".into(), "babel_hmac_accept".into()]);
    for name in binary {
        if let Some(value) = map.get_mut(&name) {
            let octets = value.as_str().and_then(|text| STANDARD.decode(text).ok());
            *value = octets.ok_or(ParametersError::Json)?.into();
        }
    }
    Ok(map)
}

/// Takes one parameter out; `None` if it is not there or null.
fn take<T: DeserializeOwned>(
    map: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Option<T>, ParametersError> {
    match map.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            serde_json::from_value(value).map(Some).map_err(|_| ParametersError::Parameter(name))
        }
    }
}
