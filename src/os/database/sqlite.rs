//! The driver for SQLite: a file with the tables of stock's registry, opened where it lies.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql, Transaction, TransactionBehavior};

use crate::os::file;

use super::value::Row;
use super::{DatabaseError, FIRST_LEAF, Statements, Value};

/// The tables, in the very words by which stock recognises them.
const TABLES: &[(&str, &str)] = &[
    ("config", "CREATE TABLE config (\n  name TEXT PRIMARY KEY NOT NULL,\n  value)"),
    (
        "token",
        "CREATE TABLE token (\n  token TEXT PRIMARY KEY NOT NULL,\n  email TEXT NOT NULL,\n  \
         prefix_len INTEGER NOT NULL,\n  date INTEGER NOT NULL)",
    ),
    (
        "cert",
        "CREATE TABLE cert (\n  prefix TEXT PRIMARY KEY NOT NULL,\n  email TEXT,\n  cert TEXT)",
    ),
    ("crl", "CREATE TABLE crl (\n  serial INTEGER PRIMARY KEY NOT NULL,\n  date INTEGER NOT NULL)"),
];

/// Tables that stock does not have and ignores.
const OWN_TABLES: &str = "
    CREATE TABLE IF NOT EXISTS journal (
        date BIGINT NOT NULL, prefix TEXT NOT NULL, email TEXT, cert TEXT NOT NULL,
        reason TEXT NOT NULL);";

/// How long to wait for another process that writes.
const BUSY_PATIENCE: Duration = Duration::from_secs(10);

/// An open file; one transaction at a time.
pub struct File {
    connection: Mutex<Connection>,
    /// Older releases of stock store certificates as octets and cannot read text, newer ones the other way
    /// round: what is there tells which one may open this database again.
    octets: bool,
}

/// A transaction.
pub struct Begun<'a> {
    transaction: Transaction<'a>,
    octets: bool,
}

impl File {
    /// Opens a database; makes it if there is none.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        // Tokens and Babel's key are in it. If the file cannot be created, SQLite says why.
        let _ = file::prepare_database(path);
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_PATIENCE)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (name, text) in TABLES {
            let found: Option<String> = transaction
                .query_row(
                    "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = $1",
                    [name],
                    |row| row.get(0),
                )
                .optional()?;
            match found {
                None => transaction.execute_batch(text)?,
                Some(found) if found == *text => {}
                Some(_) => return Err(DatabaseError::Schema((*name).into())),
            }
        }
        transaction.execute_batch(OWN_TABLES)?;
        transaction.execute(FIRST_LEAF, [])?;
        transaction.commit()?;
        Self::of(connection)
    }

    /// Opens a database that is there, to look at it only.
    pub fn open_to_read(path: &Path) -> Result<Self, DatabaseError> {
        // Who was killed may have left a change half written, which only a writer can take back.
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_PATIENCE)?;
        Self::of(connection)
    }

    fn of(connection: Connection) -> Result<Self, DatabaseError> {
        let sql = "SELECT typeof(cert) FROM cert \
                   WHERE CAST(substr(cert, 1, 5) AS TEXT) = '-----' LIMIT 1";
        let kind: Option<String> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
        let octets = kind.as_deref() == Some("blob");
        Ok(Self { connection: Mutex::new(connection), octets })
    }

    /// Whether certificates are octets in this file.
    pub const fn has_octets(&self) -> bool {
        self.octets
    }

    /// Has certificates written as octets from now on.
    pub const fn keep_octets(&mut self, octets: bool) {
        self.octets = octets;
    }

    /// Has `work` done in one transaction, to write or only to read.
    pub fn within<T, E: From<DatabaseError>>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(Box<dyn Statements + '_>) -> Result<(T, Box<dyn Statements + '_>), E>,
    ) -> Result<T, E> {
        // A panic elsewhere left nothing half done: transactions are rolled back.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = connection.transaction_with_behavior(behavior);
        let transaction = begun.map_err(DatabaseError::from)?;
        let (done, begun) = work(Box::new(Begun { transaction, octets: self.octets }))?;
        begun.commit()?;
        Ok(done)
    }
}

impl Statements for Begun<'_> {
    fn query(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let mut statement = self.transaction.prepare_cached(sql)?;
        let columns = statement.column_count();
        let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
            (0..columns).map(|at| Ok(Value::from(row.get_ref(at)?))).collect()
        })?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?.into_iter().map(Row::new).collect())
    }

    fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64, DatabaseError> {
        let mut statement = self.transaction.prepare_cached(sql)?;
        Ok(statement.execute(rusqlite::params_from_iter(values))? as u64)
    }

    fn certificate(&self, text: Option<String>) -> Value {
        match text {
            Some(text) if self.octets => Value::Octets(text.into_bytes()),
            text => text.into(),
        }
    }

    fn commit(self: Box<Self>) -> Result<(), DatabaseError> {
        Ok(self.transaction.commit()?)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Octets(octets) => ValueRef::Blob(octets),
        }))
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Text(number.to_string()),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(octets) => Self::Octets(octets.into()),
        }
    }
}
