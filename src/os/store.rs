//! What a node knows across restarts: `cache.db`, SQLite, with stock re6stnet's tables.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Transaction, params};

use crate::os::file;

/// The file, open.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
}

/// A value of the network's configuration, as it lies in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A number, or a truth value as 0 or 1.
    Integer(i64),
    /// A text.
    Text(String),
    /// Octets.
    Blob(Vec<u8>),
}

impl Store {
    /// Opens or makes `cache.db`. A file that is no database is put aside and begun anew: all that is in
    /// it can be learnt again.
    pub fn open(file: &Path) -> rusqlite::Result<Self> {
        match Self::open_as_it_is(file) {
            Err(error) if is_corrupt(&error) => {
                let aside = file.with_extension("db.broken");
                // If it cannot be moved, opening it again says why.
                let _ = std::fs::rename(file, aside);
                Self::open_as_it_is(file)
            }
            opened => opened,
        }
    }

    /// Opens a `cache.db` that cannot be written, as it was when it last could.
    pub fn open_to_read(file: &Path) -> rusqlite::Result<Self> {
        // Without this, SQLite would want to write a file beside it even to read.
        let plain = file.to_string_lossy().replace('%', "%25").replace('?', "%3f");
        let uri = format!("file:{}?immutable=1", plain.replace('#', "%23"));
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        Ok(Self { connection: Connection::open_with_flags(uri, flags)? })
    }

    fn open_as_it_is(file: &Path) -> rusqlite::Result<Self> {
        // Babel's key is in it. If the file cannot be created, SQLite says why.
        let _ = file::prepare_database(file);
        let connection = Connection::open(file)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        // What a crash of the machine loses is learnt again; what it must not do is damage the file.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(TABLES)?;
        Ok(Self { connection })
    }

    /// Every remembered peer: its prefix as zeros and ones, and its addresses. Our own has none.
    pub fn peers(&self) -> rusqlite::Result<Vec<(String, String)>> {
        let mut statement = self.connection.prepare("SELECT prefix, address FROM peer")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    /// Remembers a peer.
    pub fn set_peer(&self, prefix: &str, addresses: &str) -> rusqlite::Result<()> {
        let sql = "INSERT OR REPLACE INTO peer VALUES (?, ?)";
        self.connection.prepare_cached(sql)?.execute(params![prefix, addresses])?;
        Ok(())
    }

    /// Forgets a peer.
    pub fn forget_peer(&self, prefix: &str) -> rusqlite::Result<()> {
        let sql = "DELETE FROM peer WHERE prefix = ?";
        self.connection.prepare_cached(sql)?.execute([prefix])?;
        Ok(())
    }

    /// The remembered configuration of the network.
    pub fn configuration(&self) -> rusqlite::Result<Vec<(String, Value)>> {
        let mut statement = self.connection.prepare("SELECT name, value FROM config")?;
        let rows = statement.query_map([], |row| {
            let value = match row.get_ref(1)? {
                ValueRef::Integer(number) => Value::Integer(number),
                ValueRef::Blob(octets) => Value::Blob(octets.to_vec()),
                other => Value::Text(other.as_str().unwrap_or_default().to_owned()),
            };
            Ok((row.get(0)?, value))
        })?;
        rows.collect()
    }

    /// Remembers the configuration of the network, all of it or nothing.
    pub fn set_configuration(&mut self, rows: &[(String, Value)]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        put_configuration(&transaction, rows)?;
        transaction.commit()
    }

    /// Remembers these and nothing else, all of it or nothing.
    pub fn set_all(
        &mut self,
        peers: &[(String, String)],
        configuration: &[(String, Value)],
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM peer", [])?;
        for (prefix, addresses) in peers {
            let mut insert = transaction.prepare_cached("INSERT INTO peer VALUES (?, ?)")?;
            insert.execute(params![prefix, addresses])?;
        }
        put_configuration(&transaction, configuration)?;
        transaction.commit()
    }
}

fn put_configuration(
    transaction: &Transaction<'_>,
    rows: &[(String, Value)],
) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM config", [])?;
    for (name, value) in rows {
        let mut insert = transaction.prepare_cached("INSERT INTO config VALUES (?, ?)")?;
        match value {
            Value::Integer(number) => insert.execute(params![name, number])?,
            Value::Text(text) => insert.execute(params![name, text])?,
            Value::Blob(octets) => insert.execute(params![name, octets])?,
        };
    }
    Ok(())
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt))
}

/// Word for word as stock makes them.
const TABLES: &str = "\
CREATE TABLE IF NOT EXISTS peer (
  prefix TEXT PRIMARY KEY NOT NULL,
  address TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS config (
  name TEXT PRIMARY KEY NOT NULL,
  value);
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache.db");
        let rows = vec![
            ("hello".to_owned(), Value::Integer(15)),
            ("version".to_owned(), Value::Blob(vec![1, 2, 3])),
            ("babel_default".to_owned(), Value::Text("rtt-max 500".into())),
        ];
        let mut store = Store::open(&file).unwrap();
        store.set_peer("01", "10.0.0.1,1194,udp").unwrap();
        store.set_peer("10", "10.0.0.2,1194,udp").unwrap();
        store.forget_peer("10").unwrap();
        store.set_configuration(&rows).unwrap();
        drop(store);
        let mut store = Store::open(&file).unwrap();
        assert_eq!(store.peers().unwrap(), [("01".into(), "10.0.0.1,1194,udp".into())]);
        let mut stored = store.configuration().unwrap();
        stored.sort_by_key(|(name, _)| rows.iter().position(|(known, _)| known == name));
        assert_eq!(stored, rows);
        store.set_all(&[("11".into(), "10.0.0.3,1194,udp".into())], &rows).unwrap();
        drop(store);
        let odd = folder.path().join("what? 100%#1.db");
        std::fs::rename(&file, &odd).unwrap();
        let store = Store::open_to_read(&odd).unwrap();
        assert_eq!(store.peers().unwrap(), [("11".into(), "10.0.0.3,1194,udp".into())]);
        assert_eq!(store.configuration().unwrap().len(), rows.len());
        store.set_peer("0", "").unwrap_err();
    }

    #[test]
    fn a_file_that_is_no_database_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache.db");
        std::fs::write(&file, "a text that is certainly no database, long enough to be looked at")
            .unwrap();
        let store = Store::open(&file).unwrap();
        assert_eq!(store.peers().unwrap(), []);
        assert!(folder.path().join("cache.db.broken").exists());
    }
}
