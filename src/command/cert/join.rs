//! `re6st cert join`: from a registry's address to a folder that `re6st node up` can use.

use std::io::{self, BufRead, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use crate::command::registry::client::{self, CallError};
use crate::command::{Failure, Outcome, print};
use crate::os::clock::unix_time;
use crate::os::file::{self, Access, Room};
use crate::os::host;
use crate::proto::certificate::{
    Authority, Certificate, CertificateRequest, Fingerprint, PrivateKey, renewal,
};
use crate::proto::prefix::Network;
use crate::proto::registry::client::ReplyError;
use crate::proto::registry::invitation::Invitation;
use crate::proto::registry::url::RegistryUrl;

use super::files::{Files, broken, unusable};

/// Options of `re6st cert join`.
#[derive(Debug, Args)]
pub struct Options {
    /// An invitation, as `re6st registry invite` prints it: names the registry, its authority and a token
    #[arg(value_name = "INVITATION", conflicts_with_all = ["registry", "fingerprint", "how", "invitation_file"])]
    invitation: Option<Invitation>,
    #[arg(
        long,
        value_name = "URL",
        required_unless_present_any = ["invitation", "invitation_file"],
        help = "The registry, for example http://re6st.example.com/"
    )]
    registry: Option<RegistryUrl>,
    /// The fingerprint of the network's authority, which its operator told you: sha256:HEX
    #[arg(long, value_name = "ALG:FINGERPRINT")]
    fingerprint: Option<Fingerprint>,
    /// Ask for the authority only; fail if this host is in the network already
    #[arg(long)]
    is_needed: bool,
    /// Write the authority's certificate and nothing else
    #[arg(long)]
    ca_only: bool,
    /// The folder for ca.crt, cert.crt, cert.key and re6stnet.conf
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Add a field to the subject of the certificate: O "My company"; may be repeated
    #[arg(long, short, num_args = 2, value_names = ["KEY", "VALUE"])]
    req: Vec<String>,
    /// Have a token mailed to this address, then ask for it
    #[arg(long, value_name = "ADDRESS", group = "how")]
    email: Option<String>,
    /// The token you were given; other users of this host can read it among the arguments: use --token-file
    #[arg(long, group = "how")]
    token: Option<String>,
    /// A file with the token; - for standard input
    #[arg(long, value_name = "FILE", group = "how")]
    token_file: Option<PathBuf>,
    /// A file with the invitation; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["registry", "fingerprint", "how"])]
    invitation_file: Option<PathBuf>,
    /// Ask for a certificate without a token
    #[arg(long, group = "how")]
    anonymous: bool,
    /// Country and continent, for networks that give prefixes by place: FR,EU
    #[arg(long, default_value = "")]
    location: String,
}

impl Options {
    fn registry(&self) -> &RegistryUrl {
        self.registry.as_ref().expect("given, or taken from the invitation")
    }
}

/// Does what `re6st cert join` was asked.
pub fn run(mut options: Options) -> Outcome {
    if let Some(path) = &options.invitation_file {
        let text = file::read_secret(path).map_err(|error| Failure::failed(error.to_string()))?;
        options.invitation = Some(text.trim().parse().map_err(|error| {
            Failure::usage(format!("--invitation-file {}: {error}", path.display()))
        })?);
    }
    if let Some(path) = &options.token_file {
        let text = file::read_secret(path).map_err(|error| Failure::failed(error.to_string()))?;
        options.token = Some(text.trim().to_owned());
    } else if options.token.as_deref().is_some_and(file::is_in_arguments) {
        eprintln!("re6st: other users of this host can read --token; use --token-file");
    }
    if let Some(invitation) = options.invitation.take() {
        options.registry = Some(invitation.registry);
        options.fingerprint = Some(invitation.fingerprint);
        options.token = Some(invitation.token);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(join(options))
}

async fn join(options: Options) -> Outcome {
    let asked = options.email.is_some() || options.token.is_some() || options.anonymous;
    if !asked && !options.ca_only && !options.is_needed {
        return Err(Failure::usage(
            "say how to get a certificate: --email ADDRESS, --token TOKEN or --anonymous",
        ));
    }
    let files = Files::of(&options.dir);
    if !options.is_needed && !options.ca_only && files.certificate.exists() {
        let path = files.certificate.display();
        return Err(Failure::failed(format!(
            "{path} is there already: this folder has joined a network; choose another --dir"
        )));
    }
    let authority = authority(&options).await?;
    if options.is_needed {
        return is_needed(authority.network());
    }
    keep_authority(&files, &authority)?;
    if options.ca_only {
        return Ok(());
    }
    let key = key(&files, &authority)?;
    let request = request(&options, &key)?;
    // A token works once, and a prefix is given once: there must be room for what comes.
    let room = Room::take(&files.certificate, CERTIFICATE_OCTETS_MAX).map_err(unusable)?;
    // From now on it is known whom to hand a token to.
    let pin = authority.certificate().fingerprint().ok().and_then(|text| text.parse().ok());
    let pin = pin.as_ref();
    let token = token(&options, pin).await?;
    let given =
        client::request_certificate(options.registry(), pin, &token, &request, &options.location);
    let certificate = given.await.map_err(|error| refused(&options, &error))?.ok_or_else(|| {
        Failure::failed(if options.anonymous {
            "the registry gives no anonymous certificates".to_owned()
        } else {
            format!("the registry does not know the token {token}; was it used already?")
        })
    })?;
    if !key.belongs_to(&certificate) {
        return Err(Failure::failed(format!(
            "the registry at {} sent a certificate for another key than {}: somebody in between may have \
             put a key of his own into the request. Nothing was installed. Tell the registry's operator \
             to revoke {}, and join over https://",
            options.registry(),
            files.key.display(),
            certificate
                .serial()
                .map_or_else(|| "it".to_owned(), |it| format!("serial number {it}"))
        )));
    }
    keep_certificate(&options, &files, &authority, &certificate, room)
}

/// Asks for the authority and compares it with the fingerprint.
async fn authority(options: &Options) -> Result<Authority, Failure> {
    let asked = client::get_ca(options.registry(), options.fingerprint.as_ref()).await;
    let authority = asked.map_err(|error| failed(options, &error))?;
    let Some(expected) = &options.fingerprint else {
        if !options.is_needed {
            eprintln!(
                "re6st: without --fingerprint, whoever answers is believed to be the registry"
            );
        }
        return Ok(authority);
    };
    let found = expected.of_same_kind(authority.certificate());
    if found.as_ref() != Some(expected) {
        let found = found.map_or_else(|| "none".to_owned(), |found| found.to_string());
        return Err(Failure::failed(format!(
            "the authority at {} has another fingerprint ({found}): somebody may be in between, or \
             the network has a new authority",
            options.registry()
        )));
    }
    Ok(authority)
}

/// Fails if this host has an address in the network, or the way there begins at one.
fn is_needed(network: Network) -> Outcome {
    let first = SocketAddr::new(network.cidr().address(), 1);
    let towards = host::local_address_towards(first).ok();
    // A node that runs has no way to the first address while its owner, the registry's own node, is away.
    let own = host::addresses().unwrap_or_default().into_iter().chain(towards);
    let within = |address: &IpAddr| matches!(address, IpAddr::V6(it) if network.contains(*it));
    match own.into_iter().find(within) {
        Some(address) => Err(Failure::failed(format!("this host is in the network: {address}"))),
        None => Ok(()),
    }
}

fn keep_authority(files: &Files, authority: &Authority) -> Outcome {
    let pem = authority.certificate().to_pem().map_err(|error| broken(&files.ca, error))?;
    if let Ok(old) = file::read(&files.ca) {
        let old = Certificate::from_pem(&old).map_err(|error| broken(&files.ca, error))?;
        if old.fingerprint() != authority.certificate().fingerprint() {
            return Err(Failure::failed(format!(
                "{} is the authority of another network; choose another --dir",
                files.ca.display()
            )));
        }
        return Ok(());
    }
    file::create_folder(files.ca.parent().unwrap_or(&files.ca)).map_err(unusable)?;
    file::create(&files.ca, &pem, Access::All).map_err(unusable)
}

/// The key that is there, from an earlier try, or a new one: on disk before anything is asked for it.
fn key(files: &Files, authority: &Authority) -> Result<PrivateKey, Failure> {
    if let Ok(pem) = file::read(&files.key) {
        return PrivateKey::from_pem(&pem).map_err(|error| broken(&files.key, error));
    }
    let bits = u32::try_from(authority.certificate().key_octets() * 8).unwrap_or(2_048);
    let key = PrivateKey::generate(bits).map_err(|error| broken(&files.key, error))?;
    let pem = key.to_pem().map_err(|error| broken(&files.key, error))?;
    file::create(&files.key, &pem, Access::Owner).map_err(unusable)?;
    Ok(key)
}

fn request(options: &Options, key: &PrivateKey) -> Result<String, Failure> {
    let fields: Vec<(String, String)> =
        options.req.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let request = CertificateRequest::create(key, &fields)
        .map_err(|error| Failure::failed(format!("the certificate request {error}")))?;
    let pem = request.map_err(|index| {
        let (field, value) = &fields[index];
        Failure::usage(format!("--req {field} {value}: not a field of a subject, like O or OU"))
    })?;
    Ok(String::from_utf8_lossy(&pem).into_owned())
}

async fn token(options: &Options, pin: client::Pin<'_>) -> Result<String, Failure> {
    let Some(email) = &options.email else {
        return Ok(options.token.clone().unwrap_or_default());
    };
    let asked = client::request_token(options.registry(), pin, email).await;
    asked.map_err(|error| refused(options, &error))?;
    eprint!("Enter the token that was sent to {email}: ");
    let _ = io::stderr().flush();
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::failed(format!("cannot read the token: {error}")))?;
    let token = line.trim();
    if token.is_empty() {
        return Err(Failure::failed("no token was entered; ask again with --token TOKEN"));
    }
    Ok(token.to_owned())
}

fn keep_certificate(
    options: &Options,
    files: &Files,
    authority: &Authority,
    certificate: &Certificate,
    room: Room,
) -> Outcome {
    let wrong = |error| Failure::failed(format!("the certificate that the registry sent {error}"));
    // A second for clocks that are a little behind the registry's.
    let now = unix_time().max(certificate.not_before());
    let prefix = authority.verify(certificate, now).map_err(wrong)?;
    let pem = certificate.to_pem().map_err(wrong)?;
    room.create(&pem).map_err(unusable)?;
    if !files.configuration.exists() {
        let sample = sample(options.registry());
        file::create(&files.configuration, sample.as_bytes(), Access::All).map_err(unusable)?;
    }
    let subnet = authority.network().subnet(prefix);
    let subnet = subnet.map_or_else(String::new, |subnet| subnet.to_string());
    print(format_args!("Your subnet: {subnet} (CN={prefix})"))?;
    print(format_args!(
        "The certificate lasts until {}; nodes renew it from {} on.",
        certificate.not_after(),
        renewal::due(certificate)
    ))?;
    print(format_args!("Keep a copy of {}: without it, the subnet is lost.", files.key.display()))
}

/// Options of `re6st node up`, and of stock's re6stnet.
fn sample(registry: &RegistryUrl) -> String {
    format!(
        "registry {registry}\n\
         ca ca.crt\n\
         cert cert.crt\n\
         key cert.key\n\
         \n\
         # say more in the log:\n\
         #verbose 3\n"
    )
}

fn failed(options: &Options, error: &CallError) -> Failure {
    Failure::failed(format!("the registry at {}: {error}", options.registry()))
}

/// What a registry means by its status when it is asked for tokens or certificates.
fn refused(options: &Options, error: &CallError) -> Failure {
    match error {
        CallError::Reply(ReplyError::Status(403)) => Failure::failed(format!(
            "the registry at {} does not register {}",
            options.registry(),
            if options.anonymous { "anonymously" } else { "by mail or token" }
        )),
        _ => failed(options, error),
    }
}

/// Room for a certificate in PEM form, and for the options file after it.
const CERTIFICATE_OCTETS_MAX: usize = 16 * 1_024;
