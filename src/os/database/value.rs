//! A value of a database, whichever it is, and what Rust makes of it.

use super::DatabaseError;

/// What a column of a row can hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
    /// Octets.
    Octets(Vec<u8>),
}

/// A type that a value can be read as.
pub trait FromValue: Sized {
    /// The value, if it is of that kind.
    fn from_value(value: Value) -> Option<Self>;
}

impl FromValue for i64 {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text),
            // Older releases of stock store certificates as octets, newer ones as text.
            Value::Octets(octets) => Self::from_utf8(octets).ok(),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Octets(octets) => Some(octets),
            _ => None,
        }
    }
}

impl FromValue for Value {
    fn from_value(value: Value) -> Option<Self> {
        Some(value)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(octets: &[u8]) -> Self {
        Self::Octets(octets.into())
    }
}

impl From<&Vec<u8>> for Value {
    fn from(octets: &Vec<u8>) -> Self {
        Self::Octets(octets.clone())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row, read from its first column on.
pub struct Row(std::vec::IntoIter<Value>);

impl Row {
    /// A row of these columns.
    pub fn new(columns: Vec<Value>) -> Self {
        Self(columns.into_iter())
    }

    /// The next column.
    pub fn next<T: FromValue>(&mut self) -> Result<T, DatabaseError> {
        let value = self.0.next().unwrap_or(Value::Null);
        let shown = format!("{value:?}");
        T::from_value(value).ok_or_else(|| {
            // A key must not reach a log.
            DatabaseError::Row(if shown.starts_with("Octets") { "octets".into() } else { shown })
        })
    }
}
