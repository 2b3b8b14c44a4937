//! The registry's SQLite database, in the tables of stock's: opened where it lies, and openable by stock again.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::{FromSql, ToSql};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::proto::prefix::Prefix;
use crate::proto::time::UnixTime;

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

/// How long to wait for another process that writes.
const BUSY_PATIENCE: Duration = Duration::from_secs(10);

/// An open database.
pub struct Database(Connection);

/// What can be done within one transaction.
pub struct Tables<'a>(Transaction<'a>);

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

/// Why a database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// SQLite's reason.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A table of another program, or another version.
    #[error("its table {0} has another form than a registry's")]
    Schema(String),
    /// A row that no registry wrote.
    #[error("its table cert has a row that is no prefix: {0:?}")]
    Row(String),
}

impl Database {
    /// Opens a database; makes it if there is none.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
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
        // The whole network is one free leaf.
        transaction.execute(
            "INSERT INTO cert SELECT '', NULL, NULL WHERE NOT EXISTS (SELECT 1 FROM cert)",
            [],
        )?;
        transaction.commit()?;
        Ok(Self(connection))
    }

    /// Opens a database that is there, to look at it only.
    pub fn open_to_read(path: &Path) -> Result<Self, DatabaseError> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_PATIENCE)?;
        Ok(Self(connection))
    }

    /// Does everything in `work`, or nothing if it fails.
    pub fn write<T, E: From<DatabaseError>>(
        &mut self,
        work: impl FnOnce(&Tables<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let begun = self.0.transaction_with_behavior(TransactionBehavior::Immediate);
        let tables = Tables(begun.map_err(DatabaseError::from)?);
        let done = work(&tables)?;
        tables.0.commit().map_err(DatabaseError::from)?;
        Ok(done)
    }

    /// Looks at one state of the database.
    pub fn read<T, E: From<DatabaseError>>(
        &mut self,
        work: impl FnOnce(&Tables<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let begun = self.0.transaction_with_behavior(TransactionBehavior::Deferred);
        work(&Tables(begun.map_err(DatabaseError::from)?))
    }
}

impl Tables<'_> {
    /// A value of the table `config`; `None` if it is not there.
    pub fn config<T: FromSql>(&self, name: &str) -> Result<Option<T>, DatabaseError> {
        let mut statement = self.0.prepare_cached("SELECT value FROM config WHERE name = $1")?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }

    /// Sets a value of the table `config`; `None` removes it.
    pub fn set_config<T: ToSql>(&self, name: &str, value: Option<T>) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO config VALUES ($1, $2) \
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        match value {
            Some(value) => self.0.prepare_cached(sql)?.execute(params![name, value])?,
            None => self.0.execute("DELETE FROM config WHERE name = $1", [name])?,
        };
        Ok(())
    }

    /// All tokens.
    pub fn tokens(&self) -> Result<Vec<Token>, DatabaseError> {
        let sql = "SELECT token, email, prefix_len, date FROM token ORDER BY date, token";
        let mut statement = self.0.prepare(sql)?;
        let tokens = statement.query_map([], token_of)?.collect::<Result<_, _>>()?;
        Ok(tokens)
    }

    /// One token.
    pub fn token(&self, token: &str) -> Result<Option<Token>, DatabaseError> {
        let sql = "SELECT token, email, prefix_len, date FROM token WHERE token = $1";
        Ok(self.0.prepare_cached(sql)?.query_row([token], token_of).optional()?)
    }

    /// Adds a token; false if there is one by that name.
    pub fn add_token(&self, token: &Token) -> Result<bool, DatabaseError> {
        let sql = "INSERT INTO token VALUES ($1, $2, $3, $4) ON CONFLICT (token) DO NOTHING";
        let date = seconds(token.date);
        let row = params![token.token, token.email, token.prefix_length, date];
        Ok(self.0.prepare_cached(sql)?.execute(row)? == 1)
    }

    /// Forgets a token; false if there was none.
    pub fn delete_token(&self, token: &str) -> Result<bool, DatabaseError> {
        Ok(self.0.execute("DELETE FROM token WHERE token = $1", [token])? == 1)
    }

    /// Every leaf of the tree of prefixes, in the order of their bits.
    pub fn leaves(&self) -> Result<Vec<Leaf>, DatabaseError> {
        let mut statement =
            self.0.prepare("SELECT prefix, email, cert FROM cert ORDER BY prefix")?;
        let rows = statement.query_map([], row_of)?;
        rows.map(|row| leaf_of(row?)).collect()
    }

    /// The leaf at `prefix`.
    pub fn leaf(&self, prefix: Prefix) -> Result<Option<Leaf>, DatabaseError> {
        let sql = "SELECT prefix, email, cert FROM cert WHERE prefix = $1";
        let row = self.0.prepare_cached(sql)?.query_row([prefix.to_bits()], row_of).optional()?;
        row.map(leaf_of).transpose()
    }

    /// The free leaves.
    pub fn free(&self) -> Result<Vec<Prefix>, DatabaseError> {
        let mut statement = self.0.prepare_cached("SELECT prefix FROM cert WHERE cert IS NULL")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        rows.map(|bits| prefix_of(bits?)).collect()
    }

    /// Puts a leaf in the tree, or changes the one there.
    pub fn put_leaf(&self, leaf: &Leaf) -> Result<(), DatabaseError> {
        // Older releases of stock store certificates as octets and cannot read text, newer ones the other
        // way round: what is there tells which one may open this database again.
        let sql = "INSERT INTO cert VALUES ($1, $2, CASE (SELECT typeof(cert) FROM cert \
                       WHERE CAST(substr(cert, 1, 5) AS TEXT) = '-----' LIMIT 1) \
                   WHEN 'blob' THEN CAST($3 AS BLOB) ELSE $3 END) \
                   ON CONFLICT (prefix) DO UPDATE SET email = excluded.email, cert = excluded.cert";
        let row = params![leaf.prefix.to_bits(), leaf.email, leaf.certificate];
        self.0.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// Takes a leaf out of the tree.
    pub fn remove_leaf(&self, prefix: Prefix) -> Result<(), DatabaseError> {
        let mut statement = self.0.prepare_cached("DELETE FROM cert WHERE prefix = $1")?;
        statement.execute([prefix.to_bits()])?;
        Ok(())
    }

    /// The revoked serial numbers in order, and when the certificates end.
    pub fn revoked(&self) -> Result<Vec<(u64, UnixTime)>, DatabaseError> {
        let mut statement =
            self.0.prepare_cached("SELECT serial, date FROM crl ORDER BY serial")?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), time(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds a serial number to the revoked ones.
    pub fn revoke(&self, serial: u64, until: UnixTime) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO crl VALUES ($1, $2) ON CONFLICT (serial) DO NOTHING";
        self.0.execute(sql, params![serial.cast_signed(), seconds(until)])?;
        Ok(())
    }

    /// Forgets revoked serial numbers whose certificates ended before `now`; how many.
    pub fn purge_revoked(&self, now: UnixTime) -> Result<usize, DatabaseError> {
        Ok(self.0.execute("DELETE FROM crl WHERE date < $1", [seconds(now)])?)
    }
}

fn token_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        token: row.get(0)?,
        email: row.get(1)?,
        prefix_length: row.get(2)?,
        date: time(row.get(3)?),
    })
}

type Row = (String, Option<String>, Option<String>);

fn row_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok((row.get(0)?, row.get(1)?, text(row, 2)?))
}

/// Older releases of stock store certificates as octets, newer ones as text.
fn text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let octets = row.get_ref(column)?.as_bytes_or_null()?;
    Ok(octets.map(|octets| String::from_utf8_lossy(octets).into_owned()))
}

fn leaf_of((bits, email, certificate): Row) -> Result<Leaf, DatabaseError> {
    Ok(Leaf { prefix: prefix_of(bits)?, email, certificate })
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
