//! What the registry does for its administrators.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::os::member_routes;
use crate::proto::limits::REGISTRY_HAND_OUT_TIMEOUT;
use crate::proto::prefix::Prefix;
use crate::proto::registry::clock::REMEDY;
use crate::proto::registry::request::{PrivateCall, Revoked};

use super::access::{Administrator, abbreviated, record};
use super::administration;
use super::network;
use super::own_node::{OwnNode, Question};
use super::refusal::{Given, Refusal};
use super::state::Registry;
use super::told;

impl Registry {
    /// Answers an administrator; the log says who changed what.
    pub(super) async fn private(self: &Arc<Self>, call: PrivateCall, who: &Administrator) -> Given {
        match call {
            PrivateCall::Versions => self.versions().await,
            PrivateCall::Topology => self.topology().await,
            PrivateCall::Nodes => self.nodes().await,
            PrivateCall::Metrics => self.blocking(Self::metrics).await,
            PrivateCall::GetIpv4Information(email) => self.ipv4_information(email).await,
            PrivateCall::Revoke(revoked) => {
                let changed = self.blocking(move |registry| registry.revoke(revoked)).await?;
                match revoked {
                    Revoked::Node(node) => record(who, format_args!("revoked {node}")),
                    Revoked::Serial(serial) => {
                        record(who, format_args!("revoked the certificate {serial}"));
                    }
                }
                self.announce_if(changed).await?;
                // Before the answer: this registry may end as soon as it was given.
                if let Some(news) = self.news().await?.filter(|_| changed) {
                    let _ = news.hand_out(REGISTRY_HAND_OUT_TIMEOUT).await;
                }
                Ok(Vec::new())
            }
            PrivateCall::HandOut => {
                let Some(news) = self.news().await? else { return Ok(Vec::new()) };
                let state = news.hand_out(Duration::from_millis(300)).await;
                let text = state.map(|it| format!("{} {} {}", it.version, it.nodes, it.routed));
                Ok(text.unwrap_or_default().into())
            }
            PrivateCall::AcceptClock => {
                let changed = self.blocking(Self::accept_clock).await?;
                self.announce_if(changed).await
            }
            PrivateCall::UpdateHmac => {
                self.blocking(Self::change_keys).await?;
                record(who, format_args!("took the next step to a new Babel key"));
                self.announce_if(true).await
            }
            call => {
                let who = who.clone();
                self.blocking(move |registry| registry.look_up(call, &who)).await
            }
        }
    }

    async fn announce_if(self: &Arc<Self>, changed: bool) -> Given {
        if changed {
            self.announce().await;
        }
        Ok(Vec::new())
    }

    fn look_up(&self, call: PrivateCall, who: &Administrator) -> Given {
        let text = match call {
            PrivateCall::IsToken(token) => self
                .read(|tables| Ok(tables.token(&token)?))?
                .map_or_else(String::new, |_| "1".into()),
            PrivateCall::AddToken { email, token, prefix_length } => {
                let drawn = self.add_token(&email, token.as_deref(), prefix_length)?;
                record(who, format_args!("added a token for {email}"));
                // Stock gives a value only if it drew the token itself.
                if token.is_some() { String::new() } else { drawn }
            }
            PrivateCall::Tokens => {
                let tokens = self.read(|tables| Ok(tables.tokens()?))?;
                json!(administration::described(tokens, Some(self.policy.grace))).to_string()
            }
            PrivateCall::DeleteToken(token) => {
                if self.write(|tables| Ok(tables.delete_token(&token)?))? {
                    record(who, format_args!("removed the token {}", abbreviated(&token)));
                }
                String::new()
            }
            PrivateCall::Clock => self.implausible().map_or_else(String::new, |why| {
                format!("the clock is implausible: {why}; {REMEDY}")
            }),
            PrivateCall::Login => self.login_ticket(who),
            PrivateCall::GetNodePrefix(email) => {
                self.node_of(&email)?.map_or_else(String::new, |node| node.to_string())
            }
            PrivateCall::GetIpv6Address(email) => {
                let node = self.node_of(&email)?;
                let address = node.and_then(|node| self.network().first_address(node));
                address.map_or_else(String::new, |address| address.to_string())
            }
            _ => return Err(Refusal::Bad("no such call")),
        };
        Ok(text.into_bytes())
    }

    fn node_of(&self, email: &str) -> Result<Option<Prefix>, Refusal> {
        let leaves = self.read(|tables| Ok(tables.leaves()?))?;
        let found = leaves.into_iter().find(|leaf| leaf.email.as_deref() == Some(email));
        Ok(found.map(|leaf| leaf.prefix))
    }

    async fn ipv4_information(self: &Arc<Self>, email: String) -> Given {
        let network = self.network();
        let node = self.blocking(move |registry| registry.node_of(&email)).await?;
        let routed = member_routes::routed(network).unwrap_or_default();
        let Some(node) = node.filter(|node| routed.contains(node)) else { return Ok(Vec::new()) };
        let addresses = OwnNode::ask_one(node, Question::Addresses).await.unwrap_or_default();
        Ok(addresses.split(',').next().unwrap_or_default().into())
    }

    /// Ends a certificate; whether the list of revoked ones changed.
    pub(super) fn revoke(&self, revoked: Revoked) -> Result<bool, Refusal> {
        let now = self.time();
        let ended = self.write(|tables| network::revoke(tables, &self.issuer, revoked, now))?;
        if let Revoked::Node(prefix) = revoked {
            self.end_sessions(prefix)?;
        }
        Ok(ended.changed)
    }

    pub(super) fn change_keys(&self) -> Result<(), Refusal> {
        let new = self.state().random.octets();
        self.write(|tables| network::change_keys(tables, &self.issuer, new, self.time()))
    }

    /// Every member; where it is, if it is routed and answers.
    async fn nodes(self: &Arc<Self>) -> Given {
        let leaves = self.blocking(|registry| registry.read(|tables| Ok(tables.leaves()?))).await?;
        let mut routed = member_routes::routed(self.network()).unwrap_or_default();
        routed.extend(self.own().await?);
        let addresses = OwnNode::ask_all(routed, Question::Addresses).await;
        let nodes = administration::describe(&leaves, self.network(), &addresses);
        Ok(json!(nodes).to_string().into_bytes())
    }

    /// The prefix of the registry's own node.
    pub(super) async fn own(self: &Arc<Self>) -> Result<Option<Prefix>, Refusal> {
        self.blocking(|registry| registry.read(network::registry_prefix)).await
    }

    /// What each routed node runs; null if it does not answer.
    async fn versions(self: &Arc<Self>) -> Given {
        let own = self.own().await?;
        Ok(json!(told::versions(self.network(), own).await).to_string().into_bytes())
    }

    /// Who has tunnels to whom: the nodes that each one connected to; under the empty name, who answered.
    async fn topology(self: &Arc<Self>) -> Given {
        let own = self.own().await?;
        Ok(json!(told::topology(own).await).to_string().into_bytes())
    }
}

/// Reads the addresses from which administrators may ask.
pub(super) fn authorized(texts: &[String]) -> Result<Vec<IpAddr>, String> {
    texts.iter().map(|text| text.parse().map_err(|_| text.clone())).collect()
}
