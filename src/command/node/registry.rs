//! The one registry client of a node, in a task of its own: nothing else waits for the registry.

use std::net::IpAddr;

use tokio::sync::mpsc;

use crate::command::registry::client::{CallError, RegistryClient};
use crate::os::clock;
use crate::proto::certificate::{Identity, renewal};
use crate::proto::mesh::address::{Addresses, Country};
use crate::proto::prefix::Prefix;
use crate::proto::registry::parameters::Parameters;

/// What a node asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// The network's parameters.
    Parameters,
    /// A peer to begin with.
    Bootstrap,
    /// A certificate that lasts longer.
    Renewal,
    /// In which country an address is.
    Country(IpAddr),
}

/// What the registry said.
pub enum Answer {
    /// The network's parameters.
    Parameters(Result<Box<Parameters>, CallError>),
    /// A peer to begin with, if it knows one.
    Bootstrap(Result<Option<(Prefix, Addresses)>, CallError>),
    /// Who we are with the certificate that it sent.
    Renewal(Result<Box<Identity>, CallError>),
    /// The country, if it knows.
    Country(Result<Option<Country>, CallError>),
}

/// Starts the task; each question gets one answer, in order.
pub fn start(mut client: RegistryClient) -> (mpsc::Sender<Question>, mpsc::Receiver<Answer>) {
    let (questions, mut asked) = mpsc::channel(QUEUE);
    let (answers, answered) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        while let Some(question) = asked.recv().await {
            let answer = ask(&mut client, question).await;
            if answers.send(answer).await.is_err() {
                break;
            }
        }
    });
    (questions, answered)
}

async fn ask(client: &mut RegistryClient, question: Question) -> Answer {
    match question {
        Question::Parameters => Answer::Parameters(client.get_network_config().await.map(Box::new)),
        Question::Bootstrap => {
            let peer = client.get_bootstrap_peer().await;
            Answer::Bootstrap(
                peer.map(|peer| peer.map(|(prefix, text)| (prefix, Addresses::parse(&text)))),
            )
        }
        Question::Renewal => Answer::Renewal(renew(client).await.map(Box::new)),
        Question::Country(address) => {
            let country = client.get_country(address).await;
            Answer::Country(country.map(|text| Country::parse(&text?)))
        }
    }
}

async fn renew(client: &mut RegistryClient) -> Result<Identity, CallError> {
    renew_authority(client).await;
    let certificate = client.renew_certificate().await?;
    let identity = client.identity().renewed(certificate, clock::unix_time())?;
    client.set_identity(identity.clone());
    Ok(identity)
}

/// Takes the authority's renewed certificate, if it is time and there is one.
async fn renew_authority(client: &mut RegistryClient) {
    let known = &client.identity().authority;
    if clock::unix_time() < renewal::due(known.certificate()) {
        return;
    }
    match client.get_ca().await {
        Ok(authority) if known.is_renewed_by(&authority) => {
            client.set_identity(Identity { authority, ..client.identity().clone() });
        }
        // The same one as ever: the operator did not renew it yet.
        Ok(_) => {}
        Err(error) => tracing::info!("the registry does not tell its authority: {error}"),
    }
}

/// Questions that wait for the registry; one more is not asked, for it is the same.
const QUEUE: usize = 8;
