//! Reading and writing octets without a way to panic.

/// What is left of a message. Numbers are big endian.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// The message ended before the field did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{wanted} octets wanted, {left} left")]
pub struct Short {
    /// Octets of the field.
    pub wanted: usize,
    /// Octets that were left.
    pub left: usize,
}

impl<'a> Reader<'a> {
    /// Reads `octets` from their start.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// The next `count` octets.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Short> {
        let short = Short { wanted: count, left: self.rest.len() };
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` octets.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let short = Short { wanted: N, left: self.rest.len() };
        let (taken, rest) = self.rest.split_first_chunk().ok_or(short)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// The next octet.
    pub fn u8(&mut self) -> Result<u8, Short> {
        self.array().map(u8::from_be_bytes)
    }

    /// The next two octets, as a number.
    pub fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next four octets, as a number.
    pub fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next eight octets, as a number.
    pub fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_be_bytes)
    }

    /// Everything not yet read, which is then read.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Octets not yet read.
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything was read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Appends fields to a message. Numbers are big endian.
pub trait Writer {
    /// Appends one octet.
    fn put_u8(&mut self, value: u8);
    /// Appends two octets.
    fn put_u16(&mut self, value: u16);
    /// Appends four octets.
    fn put_u32(&mut self, value: u32);
    /// Appends eight octets.
    fn put_u64(&mut self, value: u64);
    /// Appends `octets` as they are.
    fn put(&mut self, octets: &[u8]);
}

impl Writer for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }

    fn put(&mut self, octets: &[u8]) {
        self.extend_from_slice(octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut message = Vec::new();
        message.put_u8(1);
        message.put_u16(2);
        message.put_u32(3);
        message.put_u64(4);
        message.put(b"end");
        let mut reader = Reader::new(&message);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(2));
        assert_eq!(reader.u32(), Ok(3));
        assert_eq!(reader.u64(), Ok(4));
        assert_eq!(reader.rest(), b"end");
        assert!(reader.is_empty());
    }

    #[test]
    fn a_field_that_does_not_fit_takes_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u32(), Err(Short { wanted: 4, left: 3 }));
        assert_eq!(reader.take(usize::MAX), Err(Short { wanted: usize::MAX, left: 3 }));
        assert_eq!(reader.u16(), Ok(0x0102));
    }
}
