//! The one registry client of a node, in a task of its own: nothing else waits for the registry.

use tokio::sync::mpsc;

use crate::command::registry::client::{CallError, RegistryClient};
use crate::proto::mesh::address::Addresses;
use crate::proto::prefix::Prefix;
use crate::proto::registry::parameters::Parameters;

/// What a node asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// The network's parameters.
    Parameters,
    /// A peer to begin with.
    Bootstrap,
}

/// What the registry said.
#[derive(Debug)]
pub enum Answer {
    /// The network's parameters.
    Parameters(Result<Box<Parameters>, CallError>),
    /// A peer to begin with, if it knows one.
    Bootstrap(Result<Option<(Prefix, Addresses)>, CallError>),
}

/// Starts the task; each question gets one answer, in order.
pub fn start(mut client: RegistryClient) -> (mpsc::Sender<Question>, mpsc::Receiver<Answer>) {
    let (questions, mut asked) = mpsc::channel(QUEUE);
    let (answers, answered) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        while let Some(question) = asked.recv().await {
            let answer =
                match question {
                    Question::Parameters => {
                        Answer::Parameters(client.get_network_config().await.map(Box::new))
                    }
                    Question::Bootstrap => {
                        let peer = client.get_bootstrap_peer().await;
                        Answer::Bootstrap(peer.map(|peer| {
                            peer.map(|(prefix, text)| (prefix, Addresses::parse(&text)))
                        }))
                    }
                };
            if answers.send(answer).await.is_err() {
                break;
            }
        }
    });
    (questions, answered)
}

/// Questions that wait for the registry; one more is not asked, for it is the same.
const QUEUE: usize = 4;
