//! Opening what a registry needs: its authority, whose key nobody else may read.

use std::path::Path;

use crate::command::Failure;
use crate::os::file;
use crate::proto::certificate::Issuer;

/// Reads one of the files that make a folder a registry's.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    file::read(path).map_err(|error| {
        Failure::failed(match error.cause.kind() {
            std::io::ErrorKind::NotFound => format!(
                "{error}; `re6st registry init` makes a registry, and --dir says where one is"
            ),
            _ => error.to_string(),
        })
    })
}

/// The authority in two files.
pub fn issuer(ca: &Path, key: &Path) -> Result<Issuer, Failure> {
    let failed = |error: file::FileError| Failure::failed(error.to_string());
    let (ca_text, key_text) = (read(ca)?, read(key)?);
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
