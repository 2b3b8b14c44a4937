//! Named network namespaces: hosts of one machine, as `ip netns` shows them.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace that has a name; dropping this value removes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    name: String,
}

/// What was attempted, on which namespace, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} network namespace {name}: {cause}")]
pub struct NamespaceError {
    attempt: &'static str,
    name: String,
    #[source]
    cause: io::Error,
}

impl NamespaceError {
    /// The kernel's reason.
    pub const fn cause(&self) -> &io::Error {
        &self.cause
    }
}

impl Namespace {
    /// Where the kernel's namespaces get their names, by convention of iproute2.
    const FOLDER: &str = "/run/netns";

    /// Makes a namespace without interfaces but a loopback that is down.
    pub fn create(name: &str) -> Result<Self, NamespaceError> {
        let namespace = Self { name: name.to_owned() };
        let path = namespace.path();
        let failed = |cause| namespace.failed("make", cause);
        share_folder().map_err(failed)?;
        File::options().write(true).create_new(true).open(&path).map_err(failed)?;
        // A thread of its own: it leaves its namespace for ever.
        let bound = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let new = Path::new("/proc/thread-self/ns/net");
            mount(Some(new), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        });
        if let Err(errno) = bound {
            let _ = fs::remove_file(&path);
            return Err(namespace.failed("make", errno.into()));
        }
        Ok(namespace)
    }

    /// The namespace of that name, if there is one.
    pub fn find(name: &str) -> Option<Self> {
        let namespace = Self { name: name.to_owned() };
        namespace.path().exists().then_some(namespace)
    }

    /// Every namespace whose name begins with `prefix`.
    pub fn list(prefix: &str) -> Vec<Self> {
        let entries = fs::read_dir(Self::FOLDER).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort();
        names.into_iter().map(|name| Self { name }).collect()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `task` inside, on a thread of its own; sockets and devices it opens stay inside.
    pub fn run<T: Send>(&self, task: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        on_a_thread(|| self.enter().map(|()| task()))
    }

    /// Moves this thread inside, for ever.
    pub fn enter(&self) -> Result<(), NamespaceError> {
        let file = File::open(self.path()).map_err(|cause| self.failed("open", cause))?;
        let entered = setns(file.as_fd(), CloneFlags::CLONE_NEWNET);
        entered.map_err(|errno| self.failed("enter", errno.into()))
    }

    /// The processes that live inside.
    pub fn processes(&self) -> Vec<i32> {
        let Ok(inside) = fs::metadata(self.path()) else { return Vec::new() };
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers
            .filter(|number: &i32| {
                let theirs = fs::metadata(format!("/proc/{number}/ns/net"));
                theirs.is_ok_and(|t| (t.dev(), t.ino()) == (inside.dev(), inside.ino()))
            })
            .collect()
    }

    /// Takes its name away; it ends with the last process and device in it.
    pub fn remove(&self) -> Result<(), NamespaceError> {
        // A name without a namespace behind it is what a crash leaves: the file goes all the same.
        let _ = umount2(&self.path(), MntFlags::MNT_DETACH);
        match fs::remove_file(self.path()) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(self.failed("remove", cause))
            }
            _ => Ok(()),
        }
    }

    fn path(&self) -> PathBuf {
        Path::new(Self::FOLDER).join(&self.name)
    }

    fn failed(&self, attempt: &'static str, cause: io::Error) -> NamespaceError {
        NamespaceError { attempt, name: self.name.clone(), cause }
    }
}

/// Gives this process a view of the file system of its own, in which `/sys` shows the interfaces of the
/// namespace it is in, and `hosts` is `/etc/hosts`.
pub fn see_namespace(hosts: Option<&Path>) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    // What is mounted from now on is nobody else's business.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    // Not everywhere is /sys a mount of its own.
    let _ = umount2("/sys", MntFlags::MNT_DETACH);
    let _ = mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none);
    if let Some(hosts) = hosts {
        mount(Some(hosts), "/etc/hosts", none, MsFlags::MS_BIND, none)?;
    }
    Ok(())
}

/// Makes the folder of names, such that what is mounted in it is seen in every other mount namespace.
fn share_folder() -> io::Result<()> {
    let folder = Path::new(Namespace::FOLDER);
    fs::create_dir_all(folder)?;
    let none = None::<&str>;
    let shared = || mount(none, folder, none, MsFlags::MS_REC | MsFlags::MS_SHARED, none);
    shared().or_else(|_| {
        mount(Some(folder), folder, none, MsFlags::MS_REC | MsFlags::MS_BIND, none)?;
        shared()
    })?;
    Ok(())
}

fn on_a_thread<T: Send>(task: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(task).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
