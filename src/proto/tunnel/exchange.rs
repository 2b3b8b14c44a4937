//! Key method 2: the one record with which each end gives keys' material and says who it is.

use crate::proto::bytes::{Reader, Short, Writer};
use crate::proto::tunnel::keys::{ClientSource, ServerSource};

/// What a client sends after TLS.
#[derive(Clone)]
pub struct ClientExchange {
    /// Its part of the keys.
    pub source: ClientSource,
    /// Its option string.
    pub options: String,
    /// What it says about itself.
    pub peer_information: String,
}

/// What a server answers.
#[derive(Clone)]
pub struct ServerExchange {
    /// Its part of the keys.
    pub source: ServerSource,
    /// Its option string.
    pub options: String,
}

/// Why a record is not an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExchangeError {
    /// It ends too early.
    #[error("the key exchange ends too early: {0}")]
    Short(#[from] Short),
    /// Key method 1, or rubbish.
    #[error("the peer uses another key method than 2")]
    Method,
}

const METHOD: u8 = 2;

impl ClientExchange {
    /// Reads one.
    pub fn parse(record: &[u8]) -> Result<Self, ExchangeError> {
        let mut reader = Reader::new(record);
        header(&mut reader)?;
        let source = ClientSource::parse(&mut reader)?;
        let options = text(&mut reader)?;
        // User name and password; they and what follows may be missing altogether.
        let _user = text(&mut reader).unwrap_or_default();
        let _password = text(&mut reader).unwrap_or_default();
        let peer_information = text(&mut reader).unwrap_or_default();
        Ok(Self { source, options, peer_information })
    }

    /// Writes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut record = vec![0, 0, 0, 0, METHOD];
        record.put(&self.source.pre_master);
        record.put(&self.source.random1);
        record.put(&self.source.random2);
        put_text(&mut record, &self.options);
        put_text(&mut record, "");
        put_text(&mut record, "");
        put_text(&mut record, &self.peer_information);
        record
    }
}

impl ServerExchange {
    /// Reads one.
    pub fn parse(record: &[u8]) -> Result<Self, ExchangeError> {
        let mut reader = Reader::new(record);
        header(&mut reader)?;
        let source = ServerSource::parse(&mut reader)?;
        Ok(Self { source, options: text(&mut reader)? })
    }

    /// Writes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut record = vec![0, 0, 0, 0, METHOD];
        record.put(&self.source.random1);
        record.put(&self.source.random2);
        put_text(&mut record, &self.options);
        put_text(&mut record, "");
        put_text(&mut record, "");
        put_text(&mut record, "");
        record
    }
}

fn header(reader: &mut Reader<'_>) -> Result<(), ExchangeError> {
    reader.u32()?;
    // The upper half is of flags.
    if reader.u8()? & 0x0f != METHOD {
        return Err(ExchangeError::Method);
    }
    Ok(())
}

/// A text behind its length, which counts the NUL at its end.
fn text(reader: &mut Reader<'_>) -> Result<String, Short> {
    let length = usize::from(reader.u16()?);
    let octets = reader.take(length)?;
    let octets = octets.strip_suffix(&[0]).unwrap_or(octets);
    Ok(String::from_utf8_lossy(octets).into_owned())
}

fn put_text(record: &mut Vec<u8>, text: &str) {
    if text.is_empty() {
        return record.put_u16(0);
    }
    let length = u16::try_from(text.len() + 1).expect("our texts are short");
    record.put_u16(length);
    record.put(text.as_bytes());
    record.put_u8(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::random::Random;

    #[test]
    fn every_truncation_is_refused_or_lacks_what_may_be_missing() {
        let source = ClientSource::draw(&mut Random::from_number(1));
        let (options, peer_information) = ("V4".to_owned(), "IV_PROTO=2\n".to_owned());
        let record = ClientExchange { source, options, peer_information }.to_bytes();
        let needed = 5 + 48 + 32 + 32 + 2 + 3;
        for length in 0..record.len() {
            let parsed = ClientExchange::parse(&record[..length]);
            assert_eq!(parsed.is_ok(), length >= needed, "{length}");
        }
        let whole = ClientExchange::parse(&record).unwrap();
        assert_eq!(whole.peer_information, "IV_PROTO=2\n");
        assert_eq!(whole.to_bytes(), record);
    }
}
