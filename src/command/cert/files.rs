//! The files that belong together: an authority's certificate, a node's, its key, its configuration.

use std::path::{Path, PathBuf};

use crate::command::Failure;
use crate::os::file::{self, FileError};
use crate::proto::certificate::{Authority, Certificate, CertificateError};

/// What stock's tools call them, in one folder.
pub struct Files {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The node's certificate.
    pub certificate: PathBuf,
    /// The node's key.
    pub key: PathBuf,
    /// Options of `re6st node up`.
    pub configuration: PathBuf,
}

impl Files {
    /// Those in `folder`.
    pub fn of(folder: &Path) -> Self {
        Self {
            ca: folder.join("ca.crt"),
            certificate: folder.join("cert.crt"),
            key: folder.join("cert.key"),
            configuration: folder.join("re6stnet.conf"),
        }
    }
}

/// Says which file is wrong.
pub fn broken(path: &Path, error: CertificateError) -> Failure {
    Failure::failed(format!("{} {error}", path.display()))
}

/// A file that could not be used.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn unusable(error: FileError) -> Failure {
    Failure::failed(error.to_string())
}

/// Reads a certificate.
pub fn certificate(path: &Path) -> Result<Certificate, Failure> {
    let pem = file::read(path).map_err(unusable)?;
    Certificate::from_pem(&pem).map_err(|error| broken(path, error))
}

/// Reads an authority's certificate.
pub fn authority(path: &Path) -> Result<Authority, Failure> {
    let pem = file::read(path).map_err(unusable)?;
    Authority::from_pem(&pem).map_err(|error| broken(path, error))
}
