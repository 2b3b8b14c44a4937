//! `re6st registry migrate`, `backup` and `restore`: the whole database, copied.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::command::registry::clock::trusted_now;
use crate::command::registry::membership::{member_name, restore_member};
use crate::command::registry::refusal::Refusal;
use crate::command::registry::restore::restore;
use crate::command::{Failure, Outcome, print};
use crate::os::database::{Claim, Database, DatabaseError, Location};
use crate::os::file;

use super::Folder;

/// Options of `re6st registry migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    /// The database to copy; no registry should be changing it
    #[arg(long, value_name = "FILE|postgres://…")]
    from: Location,
    /// An empty database, or a file that is not there yet
    #[arg(long, value_name = "FILE|postgres://…")]
    to: Location,
}

/// Options of `re6st registry backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// The file for the copy, which must not be there; itself a database, for `re6st registry serve --db`
    file: PathBuf,
    #[command(flatten)]
    folder: Folder,
}

/// Options of `re6st registry restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// What `re6st registry backup` wrote
    #[arg(required_unless_present = "member", conflicts_with = "member")]
    file: Option<PathBuf>,
    /// Bring back one member that expired or was revoked, from the journal of the database: a node as
    /// 2/16, or its addresses; a registry may run meanwhile
    #[arg(long, value_name = "PREFIX|CN")]
    member: Option<String>,
    #[command(flatten)]
    folder: Folder,
}

impl Migrate {
    /// Does what `re6st registry migrate` was asked.
    pub fn run(&self) -> Outcome {
        if self.from == self.to {
            return Err(Failure::usage("--from and --to name the same database; give two"));
        }
        // What a registry changes meanwhile would be missing from the copy.
        let claimed = |location: &Location| {
            let cannot = |error| Failure::failed(format!("cannot use {location}: {error}"));
            Claim::take(location).map_err(cannot)
        };
        let _claims = [claimed(&self.from)?, claimed(&self.to)?];
        let members = copy(&self.from, &self.to)?;
        print(format_args!("Copied {} to {}: {members} members.", self.from, self.to))
    }
}

impl Backup {
    /// Does what `re6st registry backup` was asked.
    pub fn run(&self) -> Outcome {
        let path = &self.file;
        let there = |path: &Path| {
            Failure::failed(format!("{} is there already; choose another FILE", path.display()))
        };
        if path.exists() {
            return Err(there(path));
        }
        // Whole or not there: under another name until all of it is on disk.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let beside = path.with_file_name(name);
        file::create_private(&beside).map_err(|error| {
            Failure::failed(format!("cannot create {}: {error}", beside.display()))
        })?;
        let copied = copy(&self.folder.db(), &Location::File(beside.clone()));
        let members = copied.inspect_err(|_| drop(std::fs::remove_file(&beside)))?;
        // A link refuses to replace.
        let linked = std::fs::hard_link(&beside, path);
        let _ = std::fs::remove_file(&beside);
        linked.map_err(|_| there(path))?;
        print(format_args!(
            "{}: {members} members. Keep ca.key apart from it, and as safe.",
            path.display()
        ))
    }
}

impl Restore {
    /// Does what `re6st registry restore` was asked.
    pub fn run(&self) -> Outcome {
        if let Some(name) = &self.member {
            return self.restore_member(name);
        }
        let source = Location::File(self.file.clone().unwrap_or_default());
        let cannot =
            |error: DatabaseError| Failure::failed(format!("cannot use {source}: {error}"));
        let backup = Database::open_to_read(&source).map_err(cannot)?;
        let backup = backup.read(|tables| tables.contents()).map_err(cannot)?;
        let issuer = self.folder.issuer()?;
        let summary = self.folder.write_alone(|tables| restore(tables, &issuer, backup))?;
        print(format_args!(
            "Restored: {} members of the backup and {} that joined since; {} revoked certificates; \
             network version {}. Start the registry again.",
            summary.members, summary.kept, summary.revoked, summary.version
        ))?;
        Ok(())
    }
}

impl Restore {
    fn restore_member(&self, name: &str) -> Outcome {
        let issuer = self.folder.issuer()?;
        let prefix = member_name(name, issuer.authority().network()).ok_or_else(|| {
            let form = "give a node, as 2/16, or its addresses, as 2001:db8:42:2::/64";
            Failure::usage(format!("--member {name}: {form}"))
        })?;
        let returned = self.folder.write(|tables| {
            let now = trusted_now(tables, issuer.authority())?;
            restore_member(tables, &issuer, prefix, now)
        })?;
        let (date, reason) = (returned.removal.date, returned.removal.reason);
        print(format_args!(
            "{prefix} ({reason} on {date}) is a member again; its certificate lasts until {}.",
            returned.not_after
        ))?;
        if returned.is_revoked {
            print(format_args!(
                "The certificate that its node has stays revoked: the node gets another one with \
                 `re6st cert renew`, or by itself."
            ))?;
        }
        Ok(())
    }
}

/// Copies one state of a database into an empty one; how many members it has.
fn copy(from: &Location, to: &Location) -> Result<usize, Failure> {
    let cannot = |location: &Location, error: &dyn std::fmt::Display| {
        Failure::failed(format!("cannot use {location}: {error}"))
    };
    let source = Database::open_to_read(from).map_err(|error| cannot(from, &error))?;
    let contents = source.read(|tables| tables.contents());
    let contents = contents.map_err(|error: DatabaseError| cannot(from, &error))?;
    let mut target = Database::open(to).map_err(|error| cannot(to, &error))?;
    target.keep_octets(source.has_octets());
    let filled = target.write(|tables| Ok::<_, Refusal>(tables.fill(&contents)?));
    filled.map_err(|error| match error {
        Refusal::Database(error) => cannot(to, &error),
        error => cannot(to, &error),
    })?;
    let is_member =
        |leaf: &&_| crate::command::registry::certificates::certificate_of(leaf).is_some();
    Ok(contents.leaves.iter().filter(is_member).count())
}
