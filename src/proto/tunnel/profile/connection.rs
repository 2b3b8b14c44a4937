//! `<connection>`: what a file says of one server of several.

use crate::proto::tunnel::profile::{Profile, ProfileError, Protocol, Remote};

/// The options of one server of several.
pub(super) struct Block {
    line: usize,
    around: Around,
}

/// What was said of servers before such options began.
struct Around {
    remotes: Vec<Remote>,
    port: Option<u16>,
    protocol: Option<Protocol>,
}

impl Block {
    /// It does not end.
    pub(super) const fn is_open(&self) -> ProfileError {
        ProfileError::Open(self.line)
    }
}

impl Profile {
    /// What is said inside of `<connection>` is for its servers alone, and nothing around it is for them.
    pub(super) fn enter(&mut self, line: usize) -> Block {
        let remotes = std::mem::take(&mut self.remotes);
        let (port, protocol) = (self.port.take(), self.protocol.take());
        Block { line, around: Around { remotes, port, protocol } }
    }

    /// Gives what was said of no server in particular to those inside, and goes back to what is around.
    pub(super) fn leave(&mut self, block: Option<Block>) {
        let Some(Block { around, .. }) = block else { return };
        let inside = self.remotes.drain(..).map(|mut remote| {
            remote.port = remote.port.or(self.port);
            remote.protocol = remote.protocol.or(self.protocol);
            remote
        });
        let remotes = around.remotes.into_iter().chain(inside).collect();
        self.remotes = remotes;
        (self.port, self.protocol) = (around.port, around.protocol);
    }
}

#[cfg(test)]
mod tests {
    use crate::proto::endpoint::Transport;
    use crate::proto::tunnel::ovpn::parse;
    use crate::proto::tunnel::profile::{Profile, ProfileError};

    fn read(file: &str) -> Result<Profile, ProfileError> {
        Profile::read(&parse(file.as_bytes()).unwrap())
    }

    #[test]
    fn what_a_file_says_of_one_server_is_not_for_the_others() {
        let file = "port 7\nremote a\n<connection>\nremote b 443\nproto tcp\n</connection>\n\
                    <connection>\nremote c\n</connection>\nremote d\nproto udp6\n";
        let profile = read(file).unwrap();
        let servers: Vec<_> = profile
            .remotes
            .iter()
            .map(|r| (r.host.as_str(), r.port, r.protocol.map(|p| p.transport)))
            .collect();
        let tcp = Some(Transport::Tcp);
        let wanted =
            [("a", None, None), ("b", Some(443), tcp), ("c", None, None), ("d", None, None)];
        assert_eq!(servers, wanted);
        assert_eq!((profile.port, profile.protocol.unwrap().ipv6), (Some(7), Some(true)));
        assert!(profile.passed_over.is_empty());
        let open = read("remote a\n<connection>\nremote b").unwrap_err().to_string();
        assert_eq!(open, "line 2: <connection> is not followed by </connection>");
        assert!(read("</connection>").is_ok());
    }
}
