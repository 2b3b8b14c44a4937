//! Why a request has no answer, and what the one who asked is told of it.

use crate::os::database::DatabaseError;
use crate::os::smtp::SmtpError;
use crate::proto::certificate::CertificateError;
use crate::proto::prefix::Prefix;
use crate::proto::registry::origin::BrowserError;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The request makes no sense, or is not authenticated.
    #[error("{0}")]
    Bad(&'static str),
    /// No session: say hello.
    #[error("no session: say hello")]
    NoSession,
    /// Not from there, or not offered.
    #[error("{0}")]
    Forbidden(&'static str),
    /// A browser that another site's page, or name, may have made to ask.
    #[error("{0}")]
    Browser(#[from] BrowserError),
    /// No such member.
    #[error("there is no node {0} in this network")]
    UnknownNode(Prefix),
    /// A request for a key that no member may have.
    #[error("the request {0}")]
    RequestKey(CertificateError),
    /// A member whose key is none that a member may have.
    #[error("the certificate of {0} {1}: it has to join again with another key")]
    MemberKey(Prefix, CertificateError),
    /// No certificate that lasts has that number.
    #[error("no node has a certificate with the serial number {0}")]
    UnknownSerial(u64),
    /// No such deleted member.
    #[error(
        "the journal has no deleted member {0}; `re6st registry nodes` lists those that are there"
    )]
    NotInJournal(Prefix),
    /// A member has a prefix, or a part of it.
    #[error("{0} is a member and has that prefix, or a part of it: revoke it first")]
    PrefixTaken(Prefix),
    /// Nobody joined yet.
    #[error("this network has no node yet")]
    Empty,
    /// Too many ask for the same at once.
    #[error("{0}")]
    Busy(&'static str),
    /// One source, or all, ask for this too often.
    #[error("{0}")]
    TooMany(&'static str),
    /// It is there already.
    #[error("there is such a token already")]
    Conflict,
    /// Nobody may have a prefix of so many bits.
    #[error("a node's prefix in this network has 1 to {longest} bits, and not {length}")]
    Length {
        /// What was asked for.
        length: u8,
        /// What there is.
        longest: u8,
    },
    /// There is nothing left to give.
    #[error("no prefix of {0} bits is left in this network")]
    Exhausted(u8),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] DatabaseError),
    /// A call that ended in the middle.
    #[error("the call failed within the registry")]
    Internal,
    /// OpenSSL failed, or a certificate in the database is broken.
    #[error("a certificate {0}")]
    Certificate(#[from] CertificateError),
    /// The mail could not be written.
    #[error("cannot write the mail: {0}")]
    Mail(#[source] std::io::Error),
    /// The mail was not taken.
    #[error("{0}")]
    Smtp(#[from] SmtpError),
}

impl Refusal {
    /// What the one who asked is told: what failed within is the log's.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Database(error) if error.is_full() => {
                "the registry's disk is full: its operator has to make room there; try again then"
                    .into()
            }
            Self::Database(_) => "the registry cannot use its database; its log says why".into(),
            Self::Certificate(_) => {
                "the registry cannot use a certificate; its log says why".into()
            }
            Self::Mail(_) | Self::Smtp(_) => {
                "the registry could not send the mail; its log says why".into()
            }
            told => told.to_string(),
        }
    }

    pub(super) const fn status(&self) -> u16 {
        match self {
            Self::Bad(_) | Self::RequestKey(_) => 400,
            Self::NoSession => 401,
            Self::Forbidden(_) | Self::Browser(_) | Self::MemberKey(..) => 403,
            Self::UnknownNode(_) | Self::UnknownSerial(_) | Self::NotInJournal(_) | Self::Empty => {
                404
            }
            Self::Conflict | Self::PrefixTaken(_) => 409,
            Self::Length { .. } | Self::Exhausted(_) => 507,
            Self::TooMany(_) => 429,
            Self::Database(_) | Self::Busy(_) => 503,
            Self::Internal | Self::Certificate(_) | Self::Mail(_) | Self::Smtp(_) => 500,
        }
    }
}

/// What a call gives: octets, or nothing.
pub(super) type Given = Result<Vec<u8>, Refusal>;
