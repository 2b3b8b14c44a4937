//! Opening what a registry needs: its authority, whose key nobody else may read.

use std::path::Path;

use crate::command::Failure;
use crate::os::file;
use crate::proto::certificate::Issuer;

/// The authority in two files.
pub fn issuer(ca: &Path, key: &Path) -> Result<Issuer, Failure> {
    let failed = |error: file::FileError| Failure::failed(error.to_string());
    let (ca_text, key_text) = (file::read(ca).map_err(failed)?, file::read(key).map_err(failed)?);
    if !file::is_private(key).map_err(failed)? {
        let key = key.display();
        return Err(Failure::failed(format!(
            "others may read the authority's key {key}; chmod 600 {key}"
        )));
    }
    Issuer::from_pem(&ca_text, &key_text).map_err(|error| {
        Failure::failed(format!("the authority in {} and {} {error}", ca.display(), key.display()))
    })
}
