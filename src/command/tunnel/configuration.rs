//! What a tunnel is to be, from the command line and from an OpenVPN configuration file: the command line
//! wins.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::Failure;
use crate::command::tunnel::list_file::ListFile;
use crate::command::tunnel::options::Common;
use crate::command::tunnel::particulars::{MtuWish, Particulars};
use crate::os::clock;
use crate::proto::certificate::{Certificate, CertificateError, PrivateKey};
use crate::proto::time::UnixTime;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::control_keys::ControlProtection;
use crate::proto::tunnel::credentials::Credentials;
use crate::proto::tunnel::key_file::{ClientKey, ServerKey, StaticKey};
use crate::proto::tunnel::kind::Role;
use crate::proto::tunnel::ovpn;
use crate::proto::tunnel::profile::{Profile, Source};
use crate::proto::tunnel::revocation::RevocationList;

/// What both ends are told, complete.
pub struct Configuration {
    /// What the file says; empty without one.
    pub profile: Profile,
    /// Who we are, and whose certificates we believe.
    pub credentials: Credentials,
    /// How each tunnel is to be.
    pub particulars: Particulars,
    /// The file that the list of revoked certificates is from.
    pub list_file: Option<ListFile>,
}

/// Longer than any tunnel lasts.
const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A file's octets, and what to call it.
struct Found {
    octets: Vec<u8>,
    name: String,
}

impl Configuration {
    /// Puts it together. Everything a file names is looked for beside it.
    pub fn read(common: &Common, role: Role) -> Result<Self, Failure> {
        let profile = match &common.config {
            Some(path) => read_profile(path, role)?,
            None => Profile::default(),
        };
        let files = Files { common, profile: &profile };
        let credentials = files.credentials()?;
        let (list, list_file) = files.list(&credentials)?;
        let ciphers = [&common.cipher, &profile.ciphers, &Cipher::ENCRYPTING.to_vec()];
        let ciphers = ciphers.into_iter().find(|ciphers| !ciphers.is_empty());
        let addresses = [&common.address, &profile.addresses];
        let addresses = addresses.into_iter().find(|addresses| !addresses.is_empty());
        let ping_exit = common.ping_exit.or(profile.ping_exit).filter(|time| !time.is_zero());
        let renewal = common.renegotiate_after.or(profile.renegotiate_after);
        let particulars = Particulars {
            control: files.control(role)?,
            peer: profile.peer.clone(),
            usage: profile.usage,
            list,
            mtu: common
                .mtu
                .or(profile.mtu)
                .map(MtuWish::Packet)
                .or(profile.link_mtu.map(MtuWish::Datagram)),
            mssfix: profile.mssfix,
            ping: profile.ping.filter(|ping| !ping.is_zero()),
            segments: common.udp_gso,
            revoked: common.revoked.iter().copied().collect(),
            ciphers: ciphers.cloned().unwrap_or_default(),
            device: common.device().or(profile.device).unwrap_or_default(),
            addresses: addresses.cloned().unwrap_or_default(),
            pulls: profile.pulls,
            ping_exit: ping_exit.unwrap_or(NEVER),
            handshake_timeout: common
                .handshake_timeout
                .or(profile.handshake_timeout)
                .unwrap_or(Duration::from_secs(60)),
            key_limit: profile.key_limit,
            renegotiate_after: match renewal {
                Some(time) if time.is_zero() => NEVER,
                time => time.unwrap_or(Duration::from_secs(3_600)),
            },
            statistics_every: common.statistics_every,
        };
        Ok(Self { credentials, particulars, profile, list_file })
    }
}

/// Reads an OpenVPN configuration file, and names what of it does not apply.
fn read_profile(path: &Path, role: Role) -> Result<Profile, Failure> {
    let shown = path.display();
    let wrong = |error: &dyn std::fmt::Display| Failure::failed(format!("{shown}: {error}"));
    let directives = ovpn::parse(&read(path)?).map_err(|error| wrong(&error))?;
    let profile = Profile::read(&directives).map_err(|error| wrong(&error))?;
    if profile.role.is_some_and(|other| other != role) {
        let other = if role == Role::Client { "listen" } else { "connect" };
        return Err(Failure::usage(format!(
            "{shown} is for the other end of a tunnel: use re6st tunnel {other}"
        )));
    }
    for (line, option) in &profile.passed_over {
        tracing::info!("{shown}: line {line}: {option} does not apply here");
    }
    Ok(profile)
}

/// The files that are named by both.
struct Files<'a> {
    common: &'a Common,
    profile: &'a Profile,
}

impl Files<'_> {
    /// What the command line names, or the configuration file, or nobody.
    fn find(
        &self,
        path: Option<&PathBuf>,
        source: Option<&Source>,
        name: &str,
    ) -> Result<Option<Found>, Failure> {
        match (self.path(path, source), source) {
            (Some(path), _) => {
                Ok(Some(Found { octets: read(&path)?, name: path.display().to_string() }))
            }
            (None, Some(Source::Inline(text))) => {
                let octets = text.clone().into_bytes();
                Ok(Some(Found { octets, name: format!("<{name}>") }))
            }
            (None, _) => Ok(None),
        }
    }

    /// Where the file is, if it is one of its own.
    fn path(&self, path: Option<&PathBuf>, source: Option<&Source>) -> Option<PathBuf> {
        match (path, source) {
            (Some(path), _) => Some(path.clone()),
            (None, Some(Source::Path(path))) => {
                let folder = self.common.config.as_deref().and_then(Path::parent);
                Some(folder.unwrap_or(Path::new("")).join(path))
            }
            _ => None,
        }
    }

    fn credentials(&self) -> Result<Credentials, Failure> {
        let (common, profile) = (self.common, self.profile);
        let need = |path: Option<&PathBuf>, source: Option<&Source>, name: &str| {
            self.find(path, source, name)?.ok_or_else(|| {
                Failure::usage(format!(
                    "--{name} FILE is needed, or {name} in the file of --config"
                ))
            })
        };
        let ca = need(common.ca.as_ref(), profile.ca.as_ref(), "ca")?;
        let cert = need(common.cert.as_ref(), profile.certificate.as_ref(), "cert")?;
        let key = need(common.key.as_ref(), profile.key.as_ref(), "key")?;
        let chain =
            self.find(common.extra_certs.as_ref(), profile.chain.as_ref(), "extra-certs")?;
        let is_none = |found: &Found, what| {
            Failure::failed(format!("{} is not a {what} in PEM form", found.name))
        };
        for found in [Some(&ca), Some(&cert), chain.as_ref()].into_iter().flatten() {
            let certificates = Certificate::all_from_pem(&found.octets);
            let certificates = certificates.map_err(|_| is_none(found, "certificate"))?;
            warn_of_the_expired(&found.name, &certificates, clock::unix_time());
        }
        PrivateKey::from_pem(&key.octets).map_err(|error| match error {
            CertificateError::Protected => Failure::failed(format!("{} {error}", key.name)),
            _ => is_none(&key, "key"),
        })?;
        let credentials = Credentials::from_pem(&ca.octets, &cert.octets, &key.octets);
        let credentials = match &chain {
            Some(chain) => credentials.and_then(|found| found.with_chain(&chain.octets)),
            None => credentials,
        };
        credentials.map_err(|error| {
            Failure::failed(match error {
                CertificateError::OtherKey => {
                    format!("{} is not the key of {}", key.name, cert.name)
                }
                error => format!("{}, {} or {} {error}", ca.name, cert.name, key.name),
            })
        })
    }

    /// The list of revoked certificates, and the file to look at again.
    fn list(
        &self,
        credentials: &Credentials,
    ) -> Result<(Option<RevocationList>, Option<ListFile>), Failure> {
        let (path, source) = (self.common.crl.as_ref(), self.profile.revoked.as_ref());
        if let Some(path) = self.path(path, source) {
            let file = ListFile::read(path, credentials)?;
            return Ok((Some(file.list.clone()), Some(file)));
        }
        let Some(found) = self.find(path, source, "crl-verify")? else { return Ok((None, None)) };
        let list = RevocationList::from_pem(&found.octets, credentials)
            .map_err(|error| Failure::failed(format!("{} {error}", found.name)))?;
        Ok((Some(list), None))
    }

    /// How control packets are protected: at most one way.
    fn control(&self, role: Role) -> Result<ControlProtection, Failure> {
        let (common, profile) = (self.common, self.profile);
        let auth = self.find(common.tls_auth.as_ref(), profile.tls_auth.as_ref(), "tls-auth")?;
        let crypt =
            self.find(common.tls_crypt.as_ref(), profile.tls_crypt.as_ref(), "tls-crypt")?;
        let v2 = (common.tls_crypt_v2.as_ref(), profile.tls_crypt_v2.as_ref());
        let v2 = self.find(v2.0, v2.1, "tls-crypt-v2")?;
        let wrong = |name: &str, error| Failure::failed(format!("{name} {error}"));
        match (auth, crypt, v2) {
            (None, None, None) => Ok(ControlProtection::None),
            (Some(Found { octets, name }), None, None) => {
                let key = StaticKey::parse(&octets).map_err(|error| wrong(&name, error))?;
                let direction = common.key_direction().or(profile.direction);
                let digest = common.auth.or(profile.digest).unwrap_or_default();
                Ok(ControlProtection::Auth { key: Box::new(key), direction, digest })
            }
            (None, Some(Found { octets, name }), None) => {
                let key = StaticKey::parse(&octets).map_err(|error| wrong(&name, error))?;
                Ok(ControlProtection::Crypt(Box::new(key)))
            }
            (None, None, Some(Found { octets, name })) => match role {
                Role::Client => ClientKey::parse(&octets)
                    .map(|key| ControlProtection::CryptV2Client(key.into()))
                    .map_err(|error| wrong(&name, error)),
                Role::Server => ServerKey::parse(&octets)
                    .map(|key| ControlProtection::CryptV2Server(key.into()))
                    .map_err(|error| wrong(&name, error)),
            },
            _ => Err(Failure::usage("use one of tls-auth, tls-crypt and tls-crypt-v2")),
        }
    }
}

/// With such a certificate there is a tunnel only if the peer's clock is wrong; of several, others may do.
fn warn_of_the_expired(name: &str, certificates: &[Certificate], now: UnixTime) {
    for certificate in certificates.iter().filter(|found| found.not_after() < now) {
        let then = certificate.not_after();
        if certificates.len() == 1 {
            tracing::warn!(
                "{name} expired on {then}: no peer believes it, unless a clock is wrong"
            );
        } else {
            let who = certificate.common_name().unwrap_or_default();
            tracing::warn!("{name}: the certificate of {who} expired on {then}");
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display())))
}
