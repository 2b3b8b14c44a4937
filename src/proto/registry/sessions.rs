//! The registry's end of sessions: which keys each node may use next.
//!
//! A node has the key that follows its last call, and those of its newest hellos. Using one drops the
//! others. So a hello that was forged, or whose reply was lost, cannot break a session that works, and
//! hellos that a stranger makes in a node's name do not displace the node's own before it is used.

use std::collections::HashMap;

use crate::proto::limits::REGISTRY_HELLOS_PENDING_MAX;
use crate::proto::prefix::Prefix;
use crate::proto::registry::session::SessionKey;

/// The keys of all nodes.
#[derive(Default)]
pub struct Sessions {
    by_node: HashMap<Prefix, Vec<Session>>,
}

#[derive(Clone)]
struct Session {
    key: SessionKey,
    protocol: u32,
}

/// A call that was authenticated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// What authenticates the reply.
    pub key: SessionKey,
    /// The protocol that the node said it speaks.
    pub protocol: u32,
}

/// Why a call was not authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SessionError {
    /// The node has no session: it was never there, or the registry was restarted.
    #[error("no session")]
    Unknown,
    /// The MAC is missing or fits no key.
    #[error("the MAC of the request is missing or wrong")]
    Wrong,
}

impl Sessions {
    /// Adds the key of a hello; of too many that were never used it replaces the oldest.
    pub fn hello(&mut self, node: Prefix, key: SessionKey, protocol: u32) {
        let sessions = self.by_node.entry(node).or_default();
        if sessions.len() > REGISTRY_HELLOS_PENDING_MAX {
            sessions.remove(1);
        }
        sessions.push(Session { key, protocol });
    }

    /// Authenticates a call for `target`; the key it used is used up.
    pub fn accept(
        &mut self,
        node: Prefix,
        target: &str,
        mac: Option<&str>,
    ) -> Result<Accepted, SessionError> {
        let mac = mac.ok_or(SessionError::Wrong)?;
        let sessions = self.by_node.get_mut(&node).ok_or(SessionError::Unknown)?;
        let fits = |session: &&Session| session.key.accepts_request(target, mac);
        let Session { key, protocol } =
            sessions.iter().find(fits).ok_or(SessionError::Wrong)?.clone();
        *sessions = vec![Session { key: key.next(), protocol }];
        Ok(Accepted { key, protocol })
    }

    /// The sessions of a node as a text, for registries that keep them in one place; empty if it has none.
    pub fn to_text(&self, node: Prefix) -> String {
        let sessions = self.by_node.get(&node).map_or(&[][..], Vec::as_slice);
        let one = |session: &Session| {
            let key: String = session.key.octets().iter().map(|o| format!("{o:02x}")).collect();
            format!("{} {key}", session.protocol)
        };
        sessions.iter().map(one).collect::<Vec<_>>().join("\n")
    }

    /// Takes over what [`Sessions::to_text`] gave; what makes no sense is no session.
    pub fn load(&mut self, node: Prefix, text: &str) {
        let one = |line: &str| {
            let (protocol, key) = line.split_once(' ')?;
            let octets = key
                .as_bytes()
                .chunks_exact(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
            let octets: Vec<u8> = octets.collect::<Option<_>>()?;
            let key = SessionKey::new(octets.try_into().ok()?);
            Some(Session { key, protocol: protocol.parse().ok()? })
        };
        self.by_node.insert(node, text.lines().filter_map(one).collect());
    }

    /// Ends the sessions of a node that is no member any more.
    pub fn end(&mut self, node: Prefix) {
        self.by_node.remove(&node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "/getDh?cn=1";

    fn key(number: u8) -> SessionKey {
        SessionKey::new([number; 20])
    }

    fn call(sessions: &mut Sessions, key: &SessionKey) -> Result<Accepted, SessionError> {
        sessions.accept(node(), TARGET, Some(&key.request_mac(TARGET)))
    }

    fn node() -> Prefix {
        Prefix::from_bits("1").unwrap()
    }

    #[test]
    fn each_key_is_used_once() {
        let mut sessions = Sessions::default();
        assert_eq!(call(&mut sessions, &key(1)), Err(SessionError::Unknown));
        sessions.hello(node(), key(1), 10);
        assert_eq!(call(&mut sessions, &key(1)), Ok(Accepted { key: key(1), protocol: 10 }));
        assert_eq!(call(&mut sessions, &key(1)), Err(SessionError::Wrong));
        assert!(call(&mut sessions, &key(1).next()).is_ok());
        assert_eq!(sessions.accept(node(), TARGET, None), Err(SessionError::Wrong));
    }

    #[test]
    fn a_forged_hello_does_not_break_a_session_that_works() {
        let mut sessions = Sessions::default();
        sessions.hello(node(), key(1), 10);
        call(&mut sessions, &key(1)).unwrap();
        for forged in 2..100 {
            sessions.hello(node(), key(forged), 10);
        }
        assert!(call(&mut sessions, &key(1).next()).is_ok());
        assert_eq!(call(&mut sessions, &key(99)), Err(SessionError::Wrong), "dropped at first use");
    }

    #[test]
    fn sessions_go_on_at_another_registry() {
        let mut one = Sessions::default();
        one.hello(node(), key(1), 8);
        one.hello(node(), key(2), 10);
        let mut other = Sessions::default();
        other.load(node(), &one.to_text(node()));
        assert_eq!(call(&mut other, &key(2)), Ok(Accepted { key: key(2), protocol: 10 }));
        one.load(node(), &other.to_text(node()));
        assert!(call(&mut one, &key(1)).is_err() && call(&mut one, &key(2).next()).is_ok());
        one.load(node(), "rubbish\n10 zz\n10 0102\n\u{e9}\u{e9}");
        assert_eq!(one.to_text(node()), "");
    }

    #[test]
    fn a_new_hello_replaces_the_old_session_when_used() {
        let mut sessions = Sessions::default();
        sessions.hello(node(), key(1), 8);
        call(&mut sessions, &key(1)).unwrap();
        sessions.hello(node(), key(2), 10);
        assert_eq!(call(&mut sessions, &key(2)).unwrap().protocol, 10);
        assert_eq!(call(&mut sessions, &key(1).next()), Err(SessionError::Wrong));
        sessions.end(node());
        assert_eq!(call(&mut sessions, &key(2).next()), Err(SessionError::Unknown));
    }
}
