//! Asks the nodes what the mesh looks like, for all visitors at once.

use std::sync::Arc;

use crate::command::registry::certificates::certificate_of;
use crate::command::registry::own_node::{OwnNode, Question};
use crate::command::registry::refusal::Refusal;
use crate::command::registry::state::Registry;
use crate::command::registry::told;
use crate::command::registry::web::mesh::Mesh;
use crate::os::database::Leaf;
use crate::os::member_routes;
use crate::proto::limits::REGISTRY_MESH_LASTS;
use crate::proto::prefix::Prefix;

impl Registry {
    /// The mesh as it is, or was a moment ago; one visitor asks for all.
    pub(super) async fn mesh(self: &Arc<Self>, leaves: &[Leaf]) -> Result<Arc<Mesh>, Refusal> {
        let mut remembered = self.mesh.lock().await;
        if let Some((mesh, until)) = &*remembered
            && self.now() < *until
        {
            return Ok(Arc::clone(mesh));
        }
        let own = self.own().await?;
        let network = self.network();
        let mut routed: Vec<Prefix> = member_routes::routed(network).unwrap_or_default();
        routed.extend(own);
        let (graph, software, addresses) = tokio::join!(
            told::topology(own),
            told::versions(network, own),
            OwnNode::ask_all(routed, Question::Addresses)
        );
        let mut mesh = Mesh { asked: Self::unix_time(), graph, ..Mesh::default() };
        for leaf in leaves.iter().filter(|leaf| certificate_of(leaf).is_some()) {
            mesh.known.entry(leaf.prefix.to_string()).or_default();
        }
        for (bits, software) in software {
            if let Ok(prefix) = Prefix::from_bits(&bits) {
                mesh.known.entry(prefix.to_string()).or_default().software = software;
            }
        }
        for (prefix, text) in addresses {
            let country = text.split(';').find_map(|address| address.split(',').nth(3));
            let known = mesh.known.entry(prefix.to_string()).or_default();
            known.country = country.map(str::to_owned).or_else(|| self.country_of(&text));
            mesh.addresses.insert(prefix.to_string(), text);
        }
        let mesh = Arc::new(mesh);
        *remembered = Some((Arc::clone(&mesh), self.now() + REGISTRY_MESH_LASTS));
        Ok(mesh)
    }

    fn country_of(&self, addresses: &str) -> Option<String> {
        let countries = self.policy.countries.as_ref()?;
        let mut all = addresses.split(';').filter_map(|address| address.split(',').next());
        all.find_map(|address| Some(countries.at(address.parse().ok()?)?.0))
    }
}
