//! The registry's end of sessions: which keys each node may use next.
//!
//! A node has at most two: the one that follows its last call, and its newest hello's. Using one drops the
//! other. So a hello that was forged, or whose reply was lost, cannot break a session that works.

use std::collections::HashMap;

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
    /// Adds the key of a hello; it replaces the key of an earlier hello that was never used.
    pub fn hello(&mut self, node: Prefix, key: SessionKey, protocol: u32) {
        let sessions = self.by_node.entry(node).or_default();
        sessions.truncate(1);
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
