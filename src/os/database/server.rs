//! The driver for PostgreSQL: one database for any number of registries.
//!
//! Whatever changes the network takes one advisory lock for its transaction, as SQLite takes its file: so a
//! prefix is cut, a serial number counted by one registry at a time. Sessions lock their own row only.

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use openssl::ssl::{SslConnector, SslMethod};
use postgres::types::private::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, IsolationLevel, Statement, Transaction};
use postgres_openssl::MakeTlsConnector;

use crate::proto::limits::{REGISTRY_DATABASE_CONNECTIONS_MAX, REGISTRY_DATABASE_PATIENCE};

use super::address::Address;
use super::value::Row;
use super::{DatabaseError, FIRST_LEAF, Statements, Value};

/// The tables. SQLite's column without a type is octets here, the first of which says what follows. Bits
/// are to be sorted as octets are, whatever the server's language.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS config (name TEXT PRIMARY KEY NOT NULL, value BYTEA);
    CREATE TABLE IF NOT EXISTS token (
        token TEXT COLLATE \"C\" PRIMARY KEY NOT NULL,
        email TEXT NOT NULL, prefix_len BIGINT NOT NULL, date BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS cert (
        prefix TEXT COLLATE \"C\" PRIMARY KEY NOT NULL, email TEXT, cert TEXT);
    CREATE TABLE IF NOT EXISTS crl (serial BIGINT PRIMARY KEY NOT NULL, date BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS session (
        node TEXT COLLATE \"C\" PRIMARY KEY NOT NULL, keys TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS journal (
        date BIGINT NOT NULL, prefix TEXT NOT NULL, email TEXT, cert TEXT NOT NULL,
        reason TEXT NOT NULL);";

/// The advisory lock of whoever changes the network.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7266678)";

/// A database on a server, with the connections that are free now.
pub struct Server {
    config: Config,
    /// What the server's certificate is verified against, if not the system's CAs.
    root_certificates: Option<PathBuf>,
    state: Mutex<Pool>,
    returned: Condvar,
}

struct Pool {
    idle: Vec<Connection>,
    /// How many there are, those in use included.
    open: usize,
}

struct Connection {
    client: Client,
    prepared: HashMap<&'static str, Statement>,
}

/// What a transaction may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Look at one state.
    Read,
    /// Change the network.
    Write,
    /// Change a node's session.
    Session,
}

/// A transaction.
struct Begun<'a> {
    transaction: Transaction<'a>,
    prepared: &'a mut HashMap<&'static str, Statement>,
}

impl Server {
    /// Opens a database by its address; makes the tables that are not there.
    pub fn open(url: &str) -> Result<Self, DatabaseError> {
        let mut address = Address::parse(url)?;
        address.find_password();
        let Address { mut config, root_certificates } = address;
        config.application_name("re6st registry").connect_timeout(REGISTRY_DATABASE_PATIENCE);
        // A host that vanished in the middle of a query would be waited for for a quarter of an hour.
        config.tcp_user_timeout(REGISTRY_DATABASE_PATIENCE).keepalives_idle(PROBE_PATIENCE);
        config.keepalives_interval(PROBE_PATIENCE).keepalives_retries(PROBES);
        // A query that waits for ever would take a place for ever.
        let patience = REGISTRY_DATABASE_PATIENCE.as_millis();
        let options = config.get_options().unwrap_or_default().to_owned();
        config.options(&format!(
            "{options} -c statement_timeout={patience} -c client_min_messages=warning"
        ));
        let pool = Mutex::new(Pool { idle: Vec::new(), open: 0 });
        let server = Self { config, root_certificates, state: pool, returned: Condvar::new() };
        let mut connection = server.connect()?;
        let mut transaction = connection.client.transaction()?;
        transaction.batch_execute(LOCK)?;
        transaction.batch_execute(TABLES)?;
        transaction.execute(FIRST_LEAF, &[])?;
        transaction.commit()?;
        let mut pool = server.state.lock().unwrap_or_else(PoisonError::into_inner);
        pool.open = 1;
        pool.idle.push(connection);
        drop(pool);
        Ok(server)
    }

    fn connect(&self) -> Result<Connection, DatabaseError> {
        let failed = |error: &dyn std::fmt::Display| DatabaseError::Tls(error.to_string());
        let mut tls =
            SslConnector::builder(SslMethod::tls_client()).map_err(|error| failed(&error))?;
        if let Some(path) = &self.root_certificates {
            let read = tls.set_ca_file(path);
            read.map_err(|error| failed(&format_args!("{}: {error}", path.display())))?;
        }
        let client = self.config.connect(MakeTlsConnector::new(tls.build()))?;
        Ok(Connection { client, prepared: HashMap::new() })
    }

    /// A connection that nobody else uses.
    fn take(&self) -> Result<Connection, DatabaseError> {
        let mut pool = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            while let Some(connection) = pool.idle.pop() {
                if !connection.client.is_closed() {
                    return Ok(connection);
                }
                pool.open -= 1;
            }
            if pool.open < REGISTRY_DATABASE_CONNECTIONS_MAX {
                pool.open += 1;
                drop(pool);
                return self.connect().inspect_err(|_| self.forget());
            }
            let waited = self.returned.wait_timeout(pool, REGISTRY_DATABASE_PATIENCE);
            let (again, late) = waited.unwrap_or_else(PoisonError::into_inner);
            pool = again;
            if late.timed_out() && pool.idle.is_empty() {
                return Err(DatabaseError::Busy);
            }
        }
    }

    fn forget(&self) {
        let mut pool = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        pool.open -= 1;
        self.returned.notify_one();
    }

    fn give_back(&self, connection: Connection) {
        if connection.client.is_closed() {
            return self.forget();
        }
        let mut pool = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        pool.idle.push(connection);
        self.returned.notify_one();
    }

    /// A connection that answers: one that was idle may have lost its server.
    fn take_live(&self) -> Result<Connection, DatabaseError> {
        for _ in 0..=REGISTRY_DATABASE_CONNECTIONS_MAX {
            let mut connection = self.take()?;
            if connection.client.is_valid(PROBE_PATIENCE).is_ok() {
                return Ok(connection);
            }
            self.forget();
        }
        Err(DatabaseError::Busy)
    }

    /// Has `work` done in one transaction.
    pub fn within<T, E: From<DatabaseError>>(
        &self,
        purpose: Purpose,
        work: impl FnOnce(Box<dyn Statements + '_>) -> Result<(T, Box<dyn Statements + '_>), E>,
    ) -> Result<T, E> {
        let connection = self.take_live()?;
        let mut taken = Taken { server: self, connection: Some(connection) };
        taken.connection.as_mut().expect("until dropped").within(purpose, work)
    }
}

/// A connection in use; back in the pool when dropped, also by a panic.
struct Taken<'a> {
    server: &'a Server,
    connection: Option<Connection>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.server.give_back(connection);
        }
    }
}

impl Connection {
    fn within<T, E: From<DatabaseError>>(
        &mut self,
        purpose: Purpose,
        work: impl FnOnce(Box<dyn Statements + '_>) -> Result<(T, Box<dyn Statements + '_>), E>,
    ) -> Result<T, E> {
        let begun = match purpose {
            Purpose::Read => self
                .client
                .build_transaction()
                .isolation_level(IsolationLevel::RepeatableRead)
                .read_only(true)
                .start(),
            Purpose::Write | Purpose::Session => self.client.transaction(),
        };
        let mut transaction = begun.map_err(DatabaseError::from)?;
        if purpose == Purpose::Write {
            transaction.batch_execute(LOCK).map_err(DatabaseError::from)?;
        }
        let (done, begun) = work(Box::new(Begun { transaction, prepared: &mut self.prepared }))?;
        begun.commit()?;
        Ok(done)
    }
}

/// Ends its connections on a thread of their own, for they must not end on one that serves.
impl Drop for Server {
    fn drop(&mut self) {
        let pool = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let idle = std::mem::take(&mut pool.idle);
        if !idle.is_empty() {
            std::thread::spawn(move || drop(idle));
        }
    }
}

impl Begun<'_> {
    fn prepare(&mut self, sql: &'static str) -> Result<Statement, DatabaseError> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.transaction.prepare(sql)?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }
}

impl Statements for Begun<'_> {
    fn query(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let statement = self.prepare(sql)?;
        let rows = self.transaction.query(&statement, &borrowed(values))?;
        let columns = |row: &postgres::Row| {
            let columns = (0..row.len()).map(|at| row.try_get::<_, Option<Value>>(at));
            columns.map(|value| Ok(value?.unwrap_or(Value::Null))).collect()
        };
        let rows: Result<Vec<Vec<Value>>, DatabaseError> = rows.iter().map(columns).collect();
        Ok(rows?.into_iter().map(Row::new).collect())
    }

    fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64, DatabaseError> {
        let statement = self.prepare(sql)?;
        Ok(self.transaction.execute(&statement, &borrowed(values))?)
    }

    fn certificate(&self, text: Option<String>) -> Value {
        text.into()
    }

    fn commit(self: Box<Self>) -> Result<(), DatabaseError> {
        Ok(self.transaction.commit()?)
    }
}

fn borrowed(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// What a column of octets begins with, by what follows.
const KINDS: [u8; 3] = *b"ito";

impl ToSql for Value {
    fn to_sql(
        &self,
        column: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let (kind, octets) = match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Integer(number) if *column == Type::INT8 => return number.to_sql(column, out),
            Self::Integer(number) => (KINDS[0], number.to_string().into_bytes()),
            Self::Text(text) => (KINDS[1], text.clone().into_bytes()),
            Self::Octets(octets) => (KINDS[2], octets.clone()),
        };
        if *column == Type::BYTEA {
            out.extend_from_slice(&[kind]);
        }
        out.extend_from_slice(&octets);
        Ok(IsNull::No)
    }

    fn accepts(column: &Type) -> bool {
        matches!(*column, Type::INT8 | Type::TEXT | Type::BYTEA)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(column: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        if *column == Type::INT8 {
            return Ok(Self::Integer(i64::from_sql(column, raw)?));
        }
        let text = |raw: &[u8]| String::from_utf8(raw.to_vec());
        if *column != Type::BYTEA {
            return Ok(Self::Text(text(raw)?));
        }
        match raw.split_first() {
            Some((kind, rest)) if *kind == KINDS[0] => Ok(Self::Integer(text(rest)?.parse()?)),
            Some((kind, rest)) if *kind == KINDS[1] => Ok(Self::Text(text(rest)?)),
            Some((kind, rest)) if *kind == KINDS[2] => Ok(Self::Octets(rest.to_vec())),
            _ => Err("a value that no registry wrote".into()),
        }
    }

    fn accepts(column: &Type) -> bool {
        <Self as ToSql>::accepts(column)
    }
}

/// How long a connection that was idle may take to answer, and a host between two signs of life.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// How many signs of life a host may miss.
const PROBES: u32 = 3;
