//! `re6st registry export`: all that a database holds, but for keys.

use std::collections::BTreeMap;

use clap::Args;

use crate::command::Outcome;
use crate::command::json::{self, Object};
use crate::command::registry::network;
use crate::proto::version::NetworkVersion;

use super::{Folder, describe, described, print_all};

/// Options of `re6st registry export`.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    folder: Folder,
}

impl Export {
    /// Does what `re6st registry export` was asked: the network, its nodes, its tokens, what is revoked.
    pub fn run(&self) -> Outcome {
        let authority = self.folder.authority()?;
        let (contents, version, own) = self.folder.read(|tables| {
            let own = network::registry_prefix(tables)?;
            Ok((tables.contents()?, network::version(tables)?, own))
        })?;
        let version = NetworkVersion::parse(&version, &authority).map_or(0, |it| it.number());
        let whole = Object::Network(json::Network {
            prefix: authority.network().cidr().to_string(),
            version,
            registry_node: own.map(|own| own.to_string()),
            not_after: authority.certificate().not_after().to_string(),
        });
        let nodes = describe(&contents.leaves, authority.network(), &BTreeMap::new());
        let revoked = contents.revoked.into_iter().map(|(serial, until)| {
            Object::Revoked(json::Revoked { serial, not_after: until.to_string() })
        });
        let nodes = nodes.into_iter().map(Object::Node);
        let tokens = described(contents.tokens, None).into_iter().map(Object::Token);
        print_all(std::iter::once(whole).chain(nodes).chain(tokens).chain(revoked))
    }
}
