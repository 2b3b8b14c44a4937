//! The file of an authority's list of revoked certificates, looked at again and again: who is on a newer one
//! is out at once, without a restart.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::time::Interval;

use crate::command::Failure;
use crate::os::{clock, file};
use crate::proto::tunnel::credentials::Credentials;
use crate::proto::tunnel::revocation::RevocationList;

/// A list, and the file it is from.
pub struct ListFile {
    /// What it says.
    pub list: RevocationList,
    path: PathBuf,
    credentials: Credentials,
    /// When it was written and how long it was, when it was last read.
    version: Option<Version>,
    looks: Interval,
}

type Version = (SystemTime, u64);

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(2);

impl ListFile {
    /// Reads it for the first time.
    pub fn read(path: PathBuf, credentials: &Credentials) -> Result<Self, Failure> {
        let version = version(&path);
        let pem = file::read(&path).map_err(|error| Failure::failed(error.to_string()))?;
        let list = RevocationList::from_pem(&pem, credentials)
            .map_err(|error| Failure::failed(format!("{} {error}", path.display())))?;
        let credentials = credentials.clone();
        let looks = tokio::time::interval(EVERY);
        let file = Self { list, path, credentials, version, looks };
        file.warn_if_outdated();
        Ok(file)
    }

    /// Waits until there is a newer list, and takes it. May be cancelled.
    pub async fn changed(&mut self) {
        loop {
            self.looks.tick().await;
            let version = version(&self.path);
            if version.is_none() || version == self.version {
                continue;
            }
            self.version = version;
            let shown = self.path.display();
            let Ok(pem) = fs::read(&self.path) else { continue };
            match self.list.renew(&pem, &self.credentials) {
                Ok(()) => {
                    tracing::info!("{shown} was read again");
                    self.warn_if_outdated();
                    return;
                }
                Err(error) => tracing::warn!("{shown} {error}: the list from before is kept"),
            }
        }
    }

    fn warn_if_outdated(&self) {
        if self.list.is_outdated(clock::unix_time()) {
            let path = self.path.display();
            tracing::warn!("{path} is out of date: get a new one from the authority");
        }
    }
}

/// Waits for a newer list, for ever if there is no file.
pub async fn changed(list: &mut Option<ListFile>) {
    match list {
        Some(list) => list.changed().await,
        None => std::future::pending().await,
    }
}

fn version(path: &PathBuf) -> Option<Version> {
    let found = fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}
