//! Mail into a file in mbox form (RFC 4155), one writer at a time.

use std::io::{self, Write};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use crate::os::file;
use crate::proto::time::UnixTime;

/// Appends `mail`, whose lines end in CR LF, to the mailbox at `path`.
pub fn append(path: &Path, mail: &str, now: UnixTime) -> io::Result<()> {
    // Its mails carry tokens.
    let file = file::append_private(path)?;
    let mut file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    let mut text = format!("From MAILER-DAEMON {}\n", asctime(now));
    for line in mail.replace("\r\n", "\n").lines() {
        // What looks like the start of the next mail is quoted.
        if line.starts_with("From ") {
            text.push('>');
        }
        text += line;
        text.push('\n');
    }
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

/// `2026-11-22 23:45:27`, which is near enough to what mail readers expect.
fn asctime(now: UnixTime) -> String {
    now.to_string().replace('T', " ").trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_follow_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mbox");
        for word in ["one", "two"] {
            let mail = format!("To: a@b\r\n\r\nFrom here: {word}\r\n");
            append(&path, &mail, UnixTime::from_secs(1)).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("\nFrom ").count() + 1, 2, "{text}");
        assert!(text.contains("\n>From here: one\n\nFrom MAILER-DAEMON"), "{text}");
    }
}
