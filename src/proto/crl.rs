//! The network's certificate revocation list as nodes pass it on: signed, so that it needs no registry.
//!
//! A registry hands it out with the network's parameters, and nodes of re6st hand it to each other with the
//! network version (upstream re6stnet ignores it): a node that was away while a certificate was revoked
//! learns of it from any other, even if the registry is down.
//!
//! ```text
//! version (packed)  count (4)  count × serial number (8)  signature of the CA
//! ```

use std::collections::BTreeSet;
use std::fmt;

use crate::proto::bytes::{Reader, Short};
use crate::proto::certificate::{Authority, CertificateError, PrivateKey};
use crate::proto::limits::CRL_SERIALS_MAX;
use crate::proto::version::{pack, unpack};

/// Precedes what is signed, so that the signature means nothing else.
const DOMAIN: &[u8] = b"re6st certificate revocation list\0";

/// Serial numbers of all revoked certificates, as of a version of the network's parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedCrl {
    version: u64,
    serials: BTreeSet<u64>,
    octets: Vec<u8>,
}

/// Why octets are no revocation list of this network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CrlError {
    /// It ends too early.
    #[error("ends too early: {0}")]
    Short(#[from] Short),
    /// It lists more than [`CRL_SERIALS_MAX`].
    #[error("lists {0} certificates")]
    Long(u32),
    /// The signature does not fit.
    #[error("is not signed by this network's CA")]
    Signature,
}

impl SignedCrl {
    /// Signs a list with the CA's key. Of too long a list the highest serial numbers are kept: those of the
    /// certificates that were issued last.
    pub fn sign(
        version: u64,
        serials: &BTreeSet<u64>,
        key: &PrivateKey,
    ) -> Result<Self, CertificateError> {
        let serials: BTreeSet<u64> =
            serials.iter().rev().take(CRL_SERIALS_MAX as usize).copied().collect();
        let mut octets = Vec::new();
        pack(version, &mut octets);
        #[expect(clippy::cast_possible_truncation, reason = "at most CRL_SERIALS_MAX")]
        octets.extend((serials.len() as u32).to_be_bytes());
        octets.extend(serials.iter().flat_map(|serial| serial.to_be_bytes()));
        let signature = key.sign(&[DOMAIN, &octets].concat())?;
        octets.extend(signature);
        Ok(Self { version, serials, octets })
    }

    /// Reads a list and checks the CA's signature.
    pub fn parse(octets: &[u8], authority: &Authority) -> Result<Self, CrlError> {
        let mut reader = Reader::new(octets);
        let version = unpack(&mut reader)?;
        let count = reader.u32()?;
        if count > CRL_SERIALS_MAX {
            return Err(CrlError::Long(count));
        }
        let serials = (0..count).map(|_| reader.u64()).collect::<Result<_, Short>>()?;
        let (list, signature) = octets.split_at(octets.len() - reader.left());
        let checked = authority.certificate().verify(&[DOMAIN, list].concat(), signature);
        checked.map_err(|_| CrlError::Signature)?;
        Ok(Self { version, serials, octets: octets.to_vec() })
    }

    /// The version of the network's parameters that it belongs to.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The revoked serial numbers.
    pub const fn serials(&self) -> &BTreeSet<u64> {
        &self.serials
    }

    /// What travels and is stored.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }
}

impl fmt::Debug for SignedCrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedCrl({}: {:?})", self.version, self.serials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::certificate::{AuthoritySubject, Issuer};
    use crate::proto::prefix::Network;
    use crate::proto::time::UnixTime;

    fn issuer() -> Issuer {
        let key = PrivateKey::generate(2_048).unwrap();
        let network = Network::new("2001:db8:42::/48".parse().unwrap()).unwrap();
        let subject = AuthoritySubject { name: "test", email: None };
        let lasts = (UnixTime::from_secs(1_700_000_000), UnixTime::from_secs(2_000_000_000));
        let pem = Issuer::create_authority(network, subject, &key, lasts).unwrap();
        Issuer::from_pem(&pem, &key.to_pem().unwrap()).unwrap()
    }

    #[test]
    fn signed_list_is_read_back_and_every_damage_refused() {
        let issuer = issuer();
        let serials = [2, 5, 1_000_000].into();
        let crl = SignedCrl::sign(77, &serials, issuer.key()).unwrap();
        let octets = crl.octets();
        let read = SignedCrl::parse(octets, issuer.authority()).unwrap();
        assert_eq!((read.version(), read.serials()), (77, &serials));
        for length in 0..octets.len() {
            assert!(SignedCrl::parse(&octets[..length], issuer.authority()).is_err(), "{length}");
        }
        for at in 0..octets.len() {
            let mut damaged = octets.to_vec();
            damaged[at] ^= 1;
            assert!(SignedCrl::parse(&damaged, issuer.authority()).is_err(), "octet {at}");
        }
        assert!(SignedCrl::parse(octets, self::issuer().authority()).is_err(), "another CA");
    }

    #[test]
    fn signature_of_a_network_version_is_none_of_a_list() {
        let issuer = issuer();
        let mut octets = Vec::new();
        pack(1, &mut octets);
        octets.extend(0_u32.to_be_bytes());
        let signature = issuer.key().sign(&octets).unwrap();
        octets.extend(signature);
        assert_eq!(SignedCrl::parse(&octets, issuer.authority()), Err(CrlError::Signature));
    }

    #[test]
    fn long_list_keeps_the_newest_certificates() {
        let issuer = issuer();
        let serials: BTreeSet<u64> = (1..=u64::from(CRL_SERIALS_MAX) + 10).collect();
        let crl = SignedCrl::sign(1, &serials, issuer.key()).unwrap();
        assert_eq!(crl.serials().len(), CRL_SERIALS_MAX as usize);
        assert!(crl.serials().contains(&(u64::from(CRL_SERIALS_MAX) + 10)));
        assert!(SignedCrl::parse(crl.octets(), issuer.authority()).is_ok());
        let mut longer = crl.octets().to_vec();
        longer[1..5].copy_from_slice(&(CRL_SERIALS_MAX + 1).to_be_bytes());
        assert!(matches!(SignedCrl::parse(&longer, issuer.authority()), Err(CrlError::Long(_))));
    }
}
