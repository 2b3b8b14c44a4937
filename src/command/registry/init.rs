//! `re6st registry init`: the authority of a new network.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::command::{Failure, Outcome, print};
use crate::os::clock::unix_time;
use crate::os::file::{self, Access, FileError};
use crate::proto::certificate::{AuthoritySubject, Certificate, Issuer, PrivateKey};
use crate::proto::cidr::{Cidr, CidrError};
use crate::proto::prefix::Network;

/// How long an authority's certificate lasts.
const LASTS: Duration = Duration::from_secs(3_650 * 86_400);

/// Options of `re6st registry init`.
#[derive(Debug, Args)]
pub struct Options {
    /// The IPv6 prefix of the network, for example 2001:db8:42::/48
    #[arg(long, value_name = "CIDR", value_parser = whole_prefix)]
    network: Cidr,
    /// The folder for ca.key, ca.crt and registry.conf; it is made if it is not there
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Length of the authority's key; every node's key is as long
    #[arg(long, value_name = "BITS", default_value_t = 2048,
          value_parser = clap::value_parser!(u32).range(2048..=8192))]
    key_bits: u32,
    /// The authority's name, for people
    #[arg(long, value_name = "NAME", default_value = "re6st registry")]
    name: String,
    /// The address that the registry's mails come from
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
}

/// Reads a prefix; one with bits beyond its length may be a slip in the length, which is for ever.
fn whole_prefix(text: &str) -> Result<Cidr, String> {
    let cidr: Cidr = text.parse().map_err(|error: CidrError| error.to_string())?;
    let address = text.split('/').next().and_then(|address| address.parse::<IpAddr>().ok());
    if address != Some(cidr.address()) {
        return Err(format!(
            "it has bits beyond its first {}: did you mean {cidr}?",
            cidr.length()
        ));
    }
    Ok(cidr)
}

/// Does what `re6st registry init` was asked.
pub fn run(options: &Options) -> Outcome {
    let network = Network::new(options.network)
        .map_err(|error| Failure::usage(format!("--network {}: {error}", options.network)))?;
    if options.name.is_empty() || options.name.chars().count() > 64 {
        return Err(Failure::usage("--name has 1 to 64 characters"));
    }
    let place = |name: &str| options.dir.join(name);
    let [key, certificate, sample] = ["ca.key", "ca.crt", "registry.conf"].map(place);
    for path in [&key, &certificate, &sample] {
        if path.exists() {
            let path = path.display();
            return Err(Failure::failed(format!(
                "{path} is there already and will not be overwritten; choose another --dir"
            )));
        }
    }
    let made = authority(options, network)
        .map_err(|error| Failure::failed(format!("the new authority {error}")))?;
    let written = || -> Result<(), FileError> {
        file::create_folder(&options.dir)?;
        file::create(&key, &made.key, Access::Owner)?;
        file::create(&certificate, &made.certificate, Access::All)?;
        file::create(&sample, sample_text(&options.dir).as_bytes(), Access::Owner)
    };
    written().map_err(|error| Failure::failed(error.to_string()))?;
    print(format_args!("Network: {network}", network = network.cidr()))?;
    print(format_args!("Fingerprint: {}", made.fingerprint))?;
    print(format_args!("Keep a copy of {}: without it, the network ends.", key.display()))?;
    print(format_args!("Next: re6st registry serve --dir {}", options.dir.display()))
}

struct Made {
    key: Vec<u8>,
    certificate: Vec<u8>,
    fingerprint: String,
}

fn authority(
    options: &Options,
    network: Network,
) -> Result<Made, crate::proto::certificate::CertificateError> {
    let key = PrivateKey::generate(options.key_bits)?;
    let subject = AuthoritySubject { name: &options.name, email: options.email.as_deref() };
    let now = unix_time();
    let certificate = Issuer::create_authority(network, subject, &key, (now, now + LASTS))?;
    let fingerprint = Certificate::from_pem(&certificate)?.fingerprint()?;
    Ok(Made { key: key.to_pem()?, certificate, fingerprint })
}

fn sample_text(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let folder = folder.display();
    format!(
        "# Options of re6st registry serve: re6st registry serve @{folder}/registry.conf\n\
         ca {folder}/ca.crt\n\
         key {folder}/ca.key\n\
         db {folder}/registry.db\n\
         \n\
         # TCP port:\n\
         #port 80\n\
         # give certificates to anybody, with a prefix of that length:\n\
         #anonymous-prefix-length 16\n\
         # append the mails that carry tokens to a mailbox:\n\
         #mailhost {folder}/mbox\n\
         # encrypt tunnels:\n\
         #encrypt\n"
    )
}
