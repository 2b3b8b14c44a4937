//! In which country and on which continent an address is, by a file in MaxMind's format.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use maxminddb::{MaxMindDbError, Reader, path};

/// Such a file, read whole.
pub struct Countries(Reader<Vec<u8>>);

impl Countries {
    /// Reads a file, for example GeoLite2-Country.mmdb.
    pub fn open(path: &Path) -> Result<Self, MaxMindDbError> {
        Reader::open_readfile(path).map(Self)
    }

    /// The codes of country and continent, `FR` and `EU`; `None` if the file does not know the address.
    pub fn at(&self, address: IpAddr) -> Option<(String, String)> {
        let found = self.0.lookup(address.to_canonical()).ok()?;
        let country: &str = found.decode_path(&path!["country", "iso_code"]).ok()??;
        let continent: Option<&str> = found.decode_path(&path!["continent", "code"]).ok()?;
        Some((country.to_owned(), continent.unwrap_or_default().to_owned()))
    }
}

impl fmt::Debug for Countries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Countries")
    }
}
