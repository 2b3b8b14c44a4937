//! `re6st cert show`, `verify` and `fingerprint`: looking at certificates.

use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::Table;

use crate::command::json::{self, Object};
use crate::command::{Failure, Outcome, print, printed};
use crate::os::clock::unix_time;
use crate::os::file;
use crate::proto::certificate::{Authority, Certificate, PrivateKey};
use crate::proto::cidr::Cidr;
use crate::proto::terminal;

use super::files::{authority, broken, certificate, unusable};

/// Options of `re6st cert show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The certificate, PEM
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The network's authority; ca.crt in the same folder if not given
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Options of `re6st cert verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The certificate, PEM
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The network's authority; ca.crt in the same folder if not given
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The key that it should belong to
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Options of `re6st cert fingerprint`.
#[derive(Debug, Args)]
pub struct Fingerprint {
    /// The certificate, PEM
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// sha1, sha256, sha512
    #[arg(long, value_name = "NAME", default_value = "sha256")]
    algorithm: String,
}

impl Show {
    /// Does what `re6st cert show` was asked.
    pub fn run(&self) -> Outcome {
        let certificate = certificate(&self.file)?;
        let beside = place_of_ca(&self.file, self.ca.as_deref());
        // Without its authority, a certificate still says most of what it says.
        let authority = match &self.ca {
            Some(ca) => Some(authority(ca)?),
            None => authority(&beside).ok(),
        };
        let object =
            object(&certificate, authority.as_ref()).map_err(|error| broken(&self.file, error))?;
        if self.json {
            return printed(json::print(&Object::Certificate(object)));
        }
        let line = |text: &str| terminal::line(text).into_owned();
        let text = |value: Option<String>| value.map_or_else(|| "none".into(), |it| line(&it));
        let mut table = Table::new();
        table.add_row(["name".into(), text(object.common_name)]);
        table.add_row(["prefix".into(), text(object.prefix.map(|prefix| prefix.to_string()))]);
        table.add_row(["serial".into(), text(object.serial.map(|serial| serial.to_string()))]);
        table.add_row(["subject".to_owned(), line(&object.subject)]);
        table.add_row(["issuer".to_owned(), line(&object.issuer)]);
        table.add_row(["valid from".to_owned(), object.not_before]);
        table.add_row(["valid until".to_owned(), object.not_after]);
        table.add_row(["fingerprint".to_owned(), object.fingerprint]);
        print(table)
    }
}

fn object(
    certificate: &Certificate,
    authority: Option<&Authority>,
) -> Result<json::Certificate, crate::proto::certificate::CertificateError> {
    let network = authority.map(Authority::network);
    let subnet = |network: crate::proto::prefix::Network| -> Option<Cidr> {
        let name = certificate.prefix().ok()?;
        network.subnet(name)
    };
    let pem = certificate.to_pem()?;
    // A certificate whose name is no prefix may be an authority's own.
    let own = || Authority::from_pem(&pem).ok().map(|authority| authority.network().cidr());
    let prefix = match certificate.prefix() {
        Ok(_) => network.and_then(subnet),
        Err(_) => own(),
    };
    Ok(json::Certificate {
        common_name: certificate.common_name(),
        prefix,
        serial: certificate.prefix().ok().and_then(|_| certificate.serial()),
        subject_serial: certificate.subject_serial(),
        not_before: certificate.not_before().to_string(),
        not_after: certificate.not_after().to_string(),
        issuer: certificate.issuer(),
        subject: certificate.subject(),
        fingerprint: certificate.fingerprint()?,
    })
}

impl Verify {
    /// Does what `re6st cert verify` was asked.
    pub fn run(&self) -> Outcome {
        let certificate = certificate(&self.file)?;
        let authority = authority(&place_of_ca(&self.file, self.ca.as_deref()))?;
        let verified = authority.verify(&certificate, unix_time());
        let prefix = verified.map_err(|error| broken(&self.file, error))?;
        if let Some(path) = &self.key {
            let pem = file::read(path).map_err(unusable)?;
            let key = PrivateKey::from_pem(&pem).map_err(|error| broken(path, error))?;
            if !key.belongs_to(&certificate) {
                let (file, key) = (self.file.display(), path.display());
                return Err(Failure::failed(format!("{file} does not belong to the key {key}")));
            }
        }
        print(format_args!("{prefix}: valid until {}", certificate.not_after()))
    }
}

impl Fingerprint {
    /// Does what `re6st cert fingerprint` was asked.
    pub fn run(&self) -> Outcome {
        let digest = certificate(&self.file)?.digest(&self.algorithm).ok_or_else(|| {
            Failure::usage(format!("--algorithm {}: use sha1, sha256 or sha512", self.algorithm))
        })?;
        print(format_args!("{}:{digest}", self.algorithm))
    }
}

fn place_of_ca(file: &Path, given: Option<&Path>) -> PathBuf {
    given.map_or_else(|| file.with_file_name("ca.crt"), Path::to_owned)
}
