//! A PostgreSQL server of a test's own: in a temporary folder, reached by a socket there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::namespace::{Process, eventually};

/// A running server with one empty database.
pub struct Postgres {
    // The process ends before its folder goes.
    process: Option<Process>,
    folder: TempDir,
}

impl Postgres {
    /// Starts one. As root it runs as the user that Debian's package made, for it refuses to be root.
    pub fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// The same with more options, which may name files in its folder.
    pub fn start_with(options: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = TempDir::with_prefix("re6st-postgres-").unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        if nix::unistd::geteuid().is_root() {
            let user =
                nix::unistd::User::from_name("postgres").unwrap().expect("postgresql is there");
            for path in [folder.path(), &data] {
                nix::unistd::chown(path, Some(user.uid), Some(user.gid)).unwrap();
            }
        }
        let made = program("initdb")
            .args(["--username=re6st", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"])
            .args(["--no-sync", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut command = program("postgres");
        command.arg("-D").arg(&data).arg("-k").arg(folder.path());
        let options = options(folder.path());
        // What is tested is a registry that is killed, not a machine that loses its power.
        command.args(["-h", "", "-c", "fsync=off", "-c", "max_connections=60"]).args(options);
        let logs = TempDir::new().unwrap();
        let process = Process::start(command, logs.path(), "postgres");
        eventually("PostgreSQL is ready", Duration::from_secs(30), || {
            process.printed().contains("ready to accept connections").then_some(())
        });
        Self { process: Some(process), folder }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its address, as `--db` takes it.
    pub fn url(&self) -> String {
        let folder = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://re6st@{folder}/postgres")
    }

    /// Ends it at once, as when its machine is switched off for others.
    pub fn stop(&mut self) {
        if let Some(process) = &self.process {
            process.signal("QUIT");
        }
        self.process = None;
    }
}

/// One of the server's programs, which Debian keeps apart by version.
fn program(name: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("scripts/test-setup installs it");
    let mut found: Vec<PathBuf> =
        versions.map(|entry| entry.unwrap().path().join("bin").join(name)).collect();
    found.retain(|path| Path::exists(path));
    found.sort();
    let path = found.pop().expect("postgresql is there");
    if !nix::unistd::geteuid().is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
    command
}
