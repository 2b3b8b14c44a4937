//! `re6st registry token`: what is worth one certificate.

use std::time::Duration;

use clap::{Args, Subcommand};
use comfy_table::Table;

use crate::command::json::{self, Object};
use crate::command::{Failure, Outcome, print};
use crate::os::clock::unix_time;
use crate::os::{database, entropy};
use crate::proto::registry::token;
use crate::proto::terminal;

use super::{Folder, Place, Reach, Running, print_all};

/// Options of `re6st registry token`.
#[derive(Debug, Args)]
pub struct Token {
    #[command(subcommand)]
    command: TokenCommand,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it
    Add {
        /// Whose it is
        email: String,
        /// Use this token instead of a random one
        #[arg(long)]
        token: Option<String>,
        /// Bits of the prefix that it is worth
        #[arg(long, value_name = "BITS", default_value_t = 16)]
        prefix_length: u8,
        #[command(flatten)]
        place: Place,
    },
    /// List the tokens that were not used yet
    List {
        #[command(flatten)]
        place: Place,
        /// The grace period of the registry, in seconds, if it is not the usual one and --dir is given
        #[arg(long, value_name = "SECONDS", default_value_t = 8_640_000)]
        grace_period: u64,
        /// Print JSON, one token a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a token
    Remove {
        /// Which
        token: String,
        #[command(flatten)]
        place: Place,
    },
}

impl Token {
    /// Does what `re6st registry token` was asked.
    pub fn run(self) -> Outcome {
        match self.command {
            TokenCommand::Add { email, token, prefix_length, place } => {
                if !token::is_address(&email) {
                    let sentence = format!("{email:?} is not the address of a mailbox");
                    return Err(Failure::usage(sentence));
                }
                if token.as_deref().is_some_and(|chosen| !token::is_usable(chosen)) {
                    return Err(Failure::usage("a token is 1 to 128 visible ASCII characters"));
                }
                if place.folder.ca().exists() {
                    place.folder.allow_length(prefix_length)?;
                }
                match place.reach() {
                    Reach::Folder(folder) => add_token(folder, email, token, prefix_length),
                    Reach::Running(running) => ask_for(&running, &email, token, prefix_length),
                }
            }
            TokenCommand::List { place, grace_period, json } => {
                list_tokens(&place, Duration::from_secs(grace_period), json)
            }
            TokenCommand::Remove { token, place } => {
                let there = match place.reach() {
                    Reach::Folder(folder) => {
                        folder.write(|tables| Ok(tables.delete_token(&token)?))?
                    }
                    Reach::Running(running) => {
                        let there = !running.ask("isToken", &[("token", &token)])?.is_empty();
                        running.ask("deleteToken", &[("token", &token)])?;
                        there
                    }
                };
                if there {
                    return Ok(());
                }
                Err(Failure::failed(format!("there is no token {token}")))
            }
        }
    }
}

fn add_token(folder: &Folder, email: String, chosen: Option<String>, length: u8) -> Outcome {
    folder.allow_length(length)?;
    let name = chosen.unwrap_or_else(|| token::draw(&mut entropy::random()));
    let date = unix_time();
    let row = database::Token { token: name, email, prefix_length: length, date };
    if !folder.write(|tables| Ok(tables.add_token(&row)?))? {
        return Err(Failure::failed(format!("there is a token {} already", row.token)));
    }
    print(row.token)
}

fn ask_for(running: &Running, email: &str, chosen: Option<String>, length: u8) -> Outcome {
    let (token, length) = (chosen.unwrap_or_default(), length.to_string());
    let arguments = [("email", email), ("token", &token), ("prefix_len", &length)];
    let drawn = running.ask("addToken", &arguments)?;
    // The registry repeats no token that it was told.
    let drawn = String::from_utf8_lossy(&drawn);
    print(if token.is_empty() { &drawn } else { token.as_str() })
}

/// The tokens as others are told them; each is good for so long after it was made, if that is known.
pub fn described(tokens: Vec<database::Token>, grace: Option<Duration>) -> Vec<json::Token> {
    let described = tokens.into_iter().map(|token| json::Token {
        token: token.token,
        email: token.email,
        prefix_length: token.prefix_length,
        time: token.date.to_string(),
        not_after: grace.map(|grace| (token.date + grace).to_string()),
    });
    described.collect()
}

fn list_tokens(place: &Place, grace: Duration, as_json: bool) -> Outcome {
    let tokens: Vec<json::Token> = match place.reach() {
        Reach::Folder(folder) => {
            described(folder.read(|tables| Ok(tables.tokens()?))?, Some(grace))
        }
        Reach::Running(running) => running.ask_json("tokens")?,
    };
    if as_json {
        return print_all(tokens.into_iter().map(Object::Token));
    }
    let mut table = Table::new();
    table.set_header(["token", "mail", "bits", "until"]);
    for token in tokens {
        let (bits, until) = (token.prefix_length.to_string(), token.not_after.unwrap_or_default());
        let (name, email) = (terminal::line(&token.token), terminal::line(&token.email));
        table.add_row([&*name, &*email, &bits, &until]);
    }
    print(table)
}
