//! Tickets that are good no more before their time: exchanged, or logged out. They are kept in the database, so
//! that other registries of the network and a restarted one know them, too.

use crate::command::registry::refusal::Refusal;
use crate::os::database::Tables;
use crate::proto::limits::REGISTRY_ENDED_TICKETS_MAX;
use crate::proto::time::UnixTime;

use super::access::Ticket;

/// The row of the table `config`: `NONCE:EXPIRY NONCE:EXPIRY …`.
const ROW: &str = "web_ended";

/// Ends a ticket; false if it ended before.
pub fn end(tables: &Tables<'_>, ticket: &Ticket, now: UnixTime) -> Result<bool, Refusal> {
    let text: String = tables.config(ROW)?.unwrap_or_default();
    let is_current = |entry: &&str| {
        let expiry = entry.split_once(':').and_then(|(_, expiry)| expiry.parse::<u64>().ok());
        expiry.is_some_and(|expiry| now.as_secs() < expiry)
    };
    let entries: Vec<&str> = text.split(' ').filter(is_current).collect();
    if has(&text, ticket) {
        return Ok(false);
    }
    if entries.len() >= REGISTRY_ENDED_TICKETS_MAX {
        return Err(Refusal::Busy("too many sessions of the pages ended today"));
    }
    let new = format!("{}:{}", ticket.nonce, ticket.expiry);
    let entries: Vec<&str> = entries.into_iter().chain([new.as_str()]).collect();
    tables.set_config(ROW, Some(entries.join(" ").as_str()))?;
    Ok(true)
}

/// Whether a ticket ended.
pub fn is_ended(tables: &Tables<'_>, ticket: &Ticket) -> Result<bool, Refusal> {
    let text: Option<String> = tables.config(ROW)?;
    Ok(text.is_some_and(|text| has(&text, ticket)))
}

fn has(text: &str, ticket: &Ticket) -> bool {
    text.split(' ').any(|entry| entry.split(':').next() == Some(&ticket.nonce))
}
