//! What a registry keeps: one set of queries, on SQLite in the tables of stock's, or on PostgreSQL.
//!
//! Two thin drivers say how a transaction begins, runs a statement and ends (`Statements`); every query
//! is written once, here, in the words that both databases understand.

mod address;
mod claim;
mod server;
mod sqlite;
mod value;

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rusqlite::TransactionBehavior;

use crate::proto::prefix::Prefix;
use crate::proto::time::UnixTime;

pub use claim::Claim;
use server::Purpose;
use value::Row;
pub use value::{FromValue, Value};

/// Where a database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file of SQLite's.
    File(PathBuf),
    /// `postgres://USER:PASSWORD@HOST/DATABASE`.
    Server(String),
}

/// An open database; of one on a server, any number of transactions may run at a time.
pub struct Database(Driver);

enum Driver {
    File(sqlite::File),
    Server(Box<server::Server>),
}

/// What a driver does within one transaction; dropped without [`Statements::commit`], nothing happened.
trait Statements {
    /// The rows that a query gives.
    fn query(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, DatabaseError>;
    /// How many rows a statement changed.
    fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64, DatabaseError>;
    /// A certificate in the form that this database stores it.
    fn certificate(&self, text: Option<String>) -> Value;
    /// Makes everything last.
    fn commit(self: Box<Self>) -> Result<(), DatabaseError>;
}

/// What can be done within one transaction.
pub struct Tables<'a>(RefCell<Box<dyn Statements + 'a>>);

/// The whole network is one free leaf at first.
const FIRST_LEAF: &str =
    "INSERT INTO cert SELECT '', NULL, NULL WHERE NOT EXISTS (SELECT 1 FROM cert)";

/// A token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// What its owner was told.
    pub token: String,
    /// Whose it is.
    pub email: String,
    /// Bits of the prefix that it is worth.
    pub prefix_length: u8,
    /// When it was made.
    pub date: UnixTime,
}

/// A leaf of the tree of prefixes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// Which.
    pub prefix: Prefix,
    /// Whose it is, if its owner gave an address.
    pub email: Option<String>,
    /// A certificate in PEM, another text if nobody may have it, `None` if it is free.
    pub certificate: Option<String>,
}

/// A member that was deleted, as the journal keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removal {
    /// When.
    pub date: UnixTime,
    /// The member's prefix.
    pub prefix: Prefix,
    /// Its owner's address, if known.
    pub email: Option<String>,
    /// Its certificate, PEM.
    pub certificate: String,
    /// Why, in a word: `expired`, `revoked`, `restored` (a backup that did not have it).
    pub reason: String,
}

/// Everything a database holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Contents {
    /// The network's own values.
    pub config: Vec<(String, Value)>,
    /// Tokens.
    pub tokens: Vec<Token>,
    /// The tree of prefixes.
    pub leaves: Vec<Leaf>,
    /// Revoked serial numbers, and when the certificates end.
    pub revoked: Vec<(u64, UnixTime)>,
    /// Members that were deleted.
    pub journal: Vec<Removal>,
}

/// Why a database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// SQLite's reason.
    #[error("{}", with_remedy(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL's reason.
    #[error("{}", told(.0))]
    Postgres(#[from] postgres::Error),
    /// TLS cannot begin.
    #[error("TLS: {0}")]
    Tls(String),
    /// All connections to the server are in use.
    #[error("no connection to the server became free in time")]
    Busy,
    /// A table of another program, or another version.
    #[error("its table {0} has another form than a registry's")]
    Schema(String),
    /// A row that no registry wrote.
    #[error("it has a row that no registry wrote: {0}")]
    Row(String),
    /// The file cannot be opened or locked.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// Another process has claimed it.
    #[error(
        "a registry is serving it: stop that one first (with systemd, `systemctl stop \
         re6st-registry`); several registries can serve one PostgreSQL database"
    )]
    Served,
    /// A database that should be empty has a network in it.
    #[error("it holds a network already")]
    NotEmpty,
}

impl DatabaseError {
    /// Whether there is no room for what was to be written.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Sqlite(error) => is_full(error),
            Self::Postgres(error) => error.code() == Some(&postgres::error::SqlState::DISK_FULL),
            _ => false,
        }
    }
}

fn with_remedy(error: &rusqlite::Error) -> String {
    let remedy = if is_full(error) { "; make room there and try again" } else { "" };
    format!("{error}{remedy}")
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

/// The server's words and what is behind them, for `db error` alone says nothing.
fn told(error: &postgres::Error) -> String {
    let behind = std::error::Error::source(error).map(ToString::to_string);
    let said = behind.map_or_else(|| error.to_string(), |behind| format!("{error}: {behind}"));
    if said.contains("does not support TLS") {
        return format!(
            "{said}; enable it there, use the server's Unix socket, or add ?sslmode=disable to the address if \
             it is on the loopback interface"
        );
    }
    if said.contains("certificate verify failed") {
        return format!("{said}; name the file of its CA's certificate with ?sslrootcert=FILE");
    }
    said
}

impl Location {
    /// The password, as it is written in the address.
    pub fn password(&self) -> Option<&str> {
        let Self::Server(url) = self else { return None };
        let (user, _) = url.split_once("://")?.1.split('?').next()?.rsplit_once('@')?;
        Some(user.split_once(':')?.1).filter(|password| !password.is_empty())
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Server(_) => None,
        }
    }
}

/// An address of PostgreSQL's is one; anything else is a file.
impl FromStr for Location {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_server = ["postgres://", "postgresql://"].iter().any(|it| text.starts_with(it));
        Ok(if is_server { Self::Server(text.into()) } else { Self::File(text.into()) })
    }
}

/// Does not show the password.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Server(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
                let rest = rest.split('?').next().unwrap_or_default();
                write!(f, "{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, place)| place))
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

impl Database {
    /// Opens a database; makes it, or its tables, if there are none.
    pub fn open(location: &Location) -> Result<Self, DatabaseError> {
        Ok(Self(match location {
            Location::File(path) => Driver::File(sqlite::File::open(path)?),
            Location::Server(url) => Driver::Server(Box::new(server::Server::open(url)?)),
        }))
    }

    /// Opens a database that is there, to look at it only.
    pub fn open_to_read(location: &Location) -> Result<Self, DatabaseError> {
        match location {
            Location::File(path) => Ok(Self(Driver::File(sqlite::File::open_to_read(path)?))),
            Location::Server(_) => Self::open(location),
        }
    }

    /// Whether several registries may use it at a time: sessions must then be in it.
    pub const fn is_shared(&self) -> bool {
        matches!(self.0, Driver::Server(_))
    }

    /// Does everything in `work`, or nothing if it fails.
    pub fn write<T, E: From<DatabaseError>>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        match &self.0 {
            Driver::File(file) => file.within(TransactionBehavior::Immediate, |it| run(it, work)),
            Driver::Server(server) => server.within(Purpose::Write, |it| run(it, work)),
        }
    }

    /// Looks at one state of the database.
    pub fn read<T, E: From<DatabaseError>>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        match &self.0 {
            Driver::File(file) => file.within(TransactionBehavior::Deferred, |it| run(it, work)),
            Driver::Server(server) => server.within(Purpose::Read, |it| run(it, work)),
        }
    }

    /// Changes sessions, of a shared database only: nobody waits for who changes the network.
    pub fn change_session<T, E: From<DatabaseError>>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        match &self.0 {
            Driver::File(_) => self.write(work),
            Driver::Server(server) => server.within(Purpose::Session, |it| run(it, work)),
        }
    }

    /// Whether its certificates are octets, as older releases of stock want them.
    pub const fn has_octets(&self) -> bool {
        match &self.0 {
            Driver::File(file) => file.has_octets(),
            Driver::Server(_) => false,
        }
    }

    /// Has certificates written as octets from now on, if it is a file.
    pub const fn keep_octets(&mut self, octets: bool) {
        if let Driver::File(file) = &mut self.0 {
            file.keep_octets(octets);
        }
    }
}

type Running<'a, T> = (T, Box<dyn Statements + 'a>);

fn run<'a, T, E>(
    begun: Box<dyn Statements + 'a>,
    work: impl FnOnce(&Tables<'_>) -> Result<T, E>,
) -> Result<Running<'a, T>, E> {
    let tables = Tables(RefCell::new(begun));
    let done = work(&tables)?;
    Ok((done, tables.0.into_inner()))
}

impl Tables<'_> {
    fn query(&self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        self.0.borrow_mut().query(sql, values)
    }

    fn execute(&self, sql: &'static str, values: &[Value]) -> Result<u64, DatabaseError> {
        self.0.borrow_mut().execute(sql, values)
    }

    /// The first row, if there is one.
    fn row(&self, sql: &'static str, values: &[Value]) -> Result<Option<Row>, DatabaseError> {
        Ok(self.query(sql, values)?.into_iter().next())
    }

    /// A value of the table `config`; `None` if it is not there.
    pub fn config<T: FromValue>(&self, name: &str) -> Result<Option<T>, DatabaseError> {
        let row = self.row("SELECT value FROM config WHERE name = $1", &[name.into()])?;
        row.map_or(Ok(None), |mut row| row.next())
    }

    /// Sets a value of the table `config`; `None` removes it.
    pub fn set_config<T: Into<Value>>(
        &self,
        name: &str,
        value: Option<T>,
    ) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO config VALUES ($1, $2) \
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        match value {
            Some(value) => self.execute(sql, &[name.into(), value.into()])?,
            None => self.execute("DELETE FROM config WHERE name = $1", &[name.into()])?,
        };
        Ok(())
    }

    /// All tokens.
    pub fn tokens(&self) -> Result<Vec<Token>, DatabaseError> {
        let sql = "SELECT token, email, prefix_len, date FROM token ORDER BY date, token";
        self.query(sql, &[])?.into_iter().map(token_of).collect()
    }

    /// One token.
    pub fn token(&self, token: &str) -> Result<Option<Token>, DatabaseError> {
        let sql = "SELECT token, email, prefix_len, date FROM token WHERE token = $1";
        self.row(sql, &[token.into()])?.map(token_of).transpose()
    }

    /// Adds a token; false if there is one by that name.
    pub fn add_token(&self, token: &Token) -> Result<bool, DatabaseError> {
        let sql = "INSERT INTO token VALUES ($1, $2, $3, $4) ON CONFLICT (token) DO NOTHING";
        let (name, email) = (token.token.as_str().into(), token.email.as_str().into());
        let length = i64::from(token.prefix_length).into();
        Ok(self.execute(sql, &[name, email, length, seconds(token.date).into()])? == 1)
    }

    /// Forgets a token; false if there was none.
    pub fn delete_token(&self, token: &str) -> Result<bool, DatabaseError> {
        Ok(self.execute("DELETE FROM token WHERE token = $1", &[token.into()])? == 1)
    }

    /// Every leaf of the tree of prefixes, in the order of their bits.
    pub fn leaves(&self) -> Result<Vec<Leaf>, DatabaseError> {
        let rows = self.query("SELECT prefix, email, cert FROM cert ORDER BY prefix", &[])?;
        rows.into_iter().map(leaf_of).collect()
    }

    /// The leaf at `prefix`.
    pub fn leaf(&self, prefix: Prefix) -> Result<Option<Leaf>, DatabaseError> {
        let sql = "SELECT prefix, email, cert FROM cert WHERE prefix = $1";
        self.row(sql, &[prefix.to_bits().into()])?.map(leaf_of).transpose()
    }

    /// The free leaves.
    pub fn free(&self) -> Result<Vec<Prefix>, DatabaseError> {
        let rows = self.query("SELECT prefix FROM cert WHERE cert IS NULL", &[])?;
        rows.into_iter().map(|mut row| prefix_of(row.next()?)).collect()
    }

    /// Puts a leaf in the tree, or changes the one there.
    pub fn put_leaf(&self, leaf: &Leaf) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO cert VALUES ($1, $2, $3) \
                   ON CONFLICT (prefix) DO UPDATE SET email = excluded.email, cert = excluded.cert";
        let certificate = self.0.borrow().certificate(leaf.certificate.clone());
        self.execute(sql, &[leaf.prefix.to_bits().into(), leaf.email.clone().into(), certificate])?;
        Ok(())
    }

    /// Takes a leaf out of the tree.
    pub fn remove_leaf(&self, prefix: Prefix) -> Result<(), DatabaseError> {
        self.execute("DELETE FROM cert WHERE prefix = $1", &[prefix.to_bits().into()])?;
        Ok(())
    }

    /// The revoked serial numbers in order, and when the certificates end.
    pub fn revoked(&self) -> Result<Vec<(u64, UnixTime)>, DatabaseError> {
        let rows = self.query("SELECT serial, date FROM crl ORDER BY serial", &[])?;
        let both = |mut row: Row| Ok((row.next::<i64>()?.cast_unsigned(), time(row.next()?)));
        rows.into_iter().map(both).collect()
    }

    /// Whether a serial number is revoked.
    pub fn is_revoked(&self, serial: u64) -> Result<bool, DatabaseError> {
        let sql = "SELECT 1 FROM crl WHERE serial = $1";
        Ok(self.row(sql, &[serial.cast_signed().into()])?.is_some())
    }

    /// Adds a serial number to the revoked ones.
    pub fn revoke(&self, serial: u64, until: UnixTime) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO crl VALUES ($1, $2) ON CONFLICT (serial) DO NOTHING";
        self.execute(sql, &[serial.cast_signed().into(), seconds(until).into()])?;
        Ok(())
    }

    /// Forgets revoked serial numbers whose certificates ended before `now`; how many.
    pub fn purge_revoked(&self, now: UnixTime) -> Result<u64, DatabaseError> {
        self.execute("DELETE FROM crl WHERE date < $1", &[seconds(now).into()])
    }

    /// Adds a deleted member to the journal.
    pub fn record_removal(&self, removal: &Removal) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO journal VALUES ($1, $2, $3, $4, $5)";
        let row = [
            seconds(removal.date).into(),
            removal.prefix.to_bits().into(),
            removal.email.clone().into(),
            removal.certificate.clone().into(),
            removal.reason.clone().into(),
        ];
        self.execute(sql, &row).map(drop)
    }

    /// The journal of deleted members, oldest first.
    pub fn journal(&self) -> Result<Vec<Removal>, DatabaseError> {
        let sql = "SELECT date, prefix, email, cert, reason FROM journal ORDER BY date";
        match self.query(sql, &[]) {
            // A file of stock's, or of an older release, that is opened to be read only.
            Err(DatabaseError::Sqlite(error)) if error.to_string().contains("no such table") => {
                Ok(Vec::new())
            }
            rows => rows?.into_iter().map(removal_of).collect(),
        }
    }

    /// Remembers what a token was spent on: who did not get the answer may ask again.
    pub fn keep_receipt(
        &self,
        token: &str,
        prefix: Prefix,
        now: UnixTime,
    ) -> Result<(), DatabaseError> {
        // Stock has no such table, and minds none: it is made when it is first needed.
        self.execute(RECEIPTS, &[])?;
        let old = seconds(now).saturating_sub(RECEIPT_LASTS_SECONDS);
        self.execute("DELETE FROM receipt WHERE date < $1", &[old.into()])?;
        let sql = "INSERT INTO receipt VALUES ($1, $2, $3) ON CONFLICT (token) DO UPDATE \
                   SET prefix = excluded.prefix, date = excluded.date";
        let row = [token.into(), prefix.to_bits().into(), seconds(now).into()];
        self.execute(sql, &row).map(drop)
    }

    /// What a token was spent on, within the last day.
    pub fn receipt(&self, token: &str, now: UnixTime) -> Result<Option<Prefix>, DatabaseError> {
        self.execute(RECEIPTS, &[])?;
        let old = seconds(now).saturating_sub(RECEIPT_LASTS_SECONDS);
        let sql = "SELECT prefix FROM receipt WHERE token = $1 AND date >= $2";
        let row = self.row(sql, &[token.into(), old.into()])?;
        row.map(|mut row| prefix_of(row.next()?)).transpose()
    }

    /// A node's session in a shared database, held until the transaction ends.
    pub fn session(&self, node: Prefix) -> Result<Option<String>, DatabaseError> {
        let sql = "SELECT keys FROM session WHERE node = $1 FOR UPDATE";
        self.row(sql, &[node.to_bits().into()])?.map(|mut row| row.next()).transpose()
    }

    /// Changes a node's session in a shared database; an empty text ends it.
    pub fn set_session(&self, node: Prefix, keys: String) -> Result<(), DatabaseError> {
        let node = Value::from(node.to_bits());
        if keys.is_empty() {
            return self.execute("DELETE FROM session WHERE node = $1", &[node]).map(drop);
        }
        let sql = "INSERT INTO session VALUES ($1, $2) \
                   ON CONFLICT (node) DO UPDATE SET keys = excluded.keys";
        self.execute(sql, &[node, keys.into()]).map(drop)
    }

    /// Everything, but for sessions, which begin anew.
    pub fn contents(&self) -> Result<Contents, DatabaseError> {
        let rows = self.query("SELECT name, value FROM config ORDER BY name", &[])?;
        let both = |mut row: Row| Ok((row.next()?, row.next()?));
        let config = rows.into_iter().map(both).collect::<Result<_, DatabaseError>>()?;
        let (tokens, leaves) = (self.tokens()?, self.leaves()?);
        let (revoked, journal) = (self.revoked()?, self.journal()?);
        Ok(Contents { config, tokens, leaves, revoked, journal })
    }

    /// Fills a database that holds no network yet.
    pub fn fill(&self, contents: &Contents) -> Result<(), DatabaseError> {
        let there = self.contents()?;
        let taken = |leaf: &Leaf| leaf.certificate.is_some();
        if there.leaves.iter().any(taken) || there.config.iter().any(|(name, _)| name == "serial") {
            return Err(DatabaseError::NotEmpty);
        }
        self.replace(contents)
    }

    /// Replaces everything but sessions.
    pub fn replace(&self, contents: &Contents) -> Result<(), DatabaseError> {
        for sql in [
            "DELETE FROM config",
            "DELETE FROM token",
            "DELETE FROM cert",
            "DELETE FROM crl",
            "DELETE FROM journal",
        ] {
            self.execute(sql, &[])?;
        }
        for (name, value) in &contents.config {
            self.set_config(name, Some(value.clone()))?;
        }
        for token in &contents.tokens {
            self.add_token(token)?;
        }
        for leaf in &contents.leaves {
            self.put_leaf(leaf)?;
        }
        for (serial, until) in &contents.revoked {
            self.revoke(*serial, *until)?;
        }
        contents.journal.iter().try_for_each(|removal| self.record_removal(removal))
    }
}

/// What tokens were spent on.
const RECEIPTS: &str = "CREATE TABLE IF NOT EXISTS receipt (\n  \
    token TEXT PRIMARY KEY NOT NULL,\n  prefix TEXT NOT NULL,\n  date BIGINT NOT NULL)";

/// How long what was lost on its way can be asked for again.
const RECEIPT_LASTS_SECONDS: i64 = 86_400;

fn token_of(mut row: Row) -> Result<Token, DatabaseError> {
    let (token, email, length): (_, _, i64) = (row.next()?, row.next()?, row.next()?);
    let prefix_length = u8::try_from(length).unwrap_or(u8::MAX);
    Ok(Token { token, email, prefix_length, date: time(row.next()?) })
}

fn removal_of(mut row: Row) -> Result<Removal, DatabaseError> {
    let (date, prefix) = (time(row.next()?), prefix_of(row.next()?)?);
    let (email, certificate, reason) = (row.next()?, row.next()?, row.next()?);
    Ok(Removal { date, prefix, email, certificate, reason })
}

fn leaf_of(mut row: Row) -> Result<Leaf, DatabaseError> {
    let (bits, email) = (row.next()?, row.next()?);
    Ok(Leaf { prefix: prefix_of(bits)?, email, certificate: row.next()? })
}

fn prefix_of(bits: String) -> Result<Prefix, DatabaseError> {
    Prefix::from_bits(&bits).map_err(|_| DatabaseError::Row(bits))
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn time(seconds: i64) -> UnixTime {
    UnixTime::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_does_not_show_its_password() {
        let server: Location = "postgres://re6st:secret@db.example.com/re6st".parse().unwrap();
        assert_eq!(server.to_string(), "postgres://db.example.com/re6st");
        assert!(!format!("{server:?}").contains("secret"));
        let file: Location = "registry.db".parse().unwrap();
        assert_eq!(file, Location::File("registry.db".into()));
    }
}
