//! `re6st registry token`: what is worth one certificate.

use clap::{Args, Subcommand};
use comfy_table::Table;

use crate::command::json::{self, Object};
use crate::command::{Failure, Outcome};
use crate::os::clock::unix_time;
use crate::os::{database, entropy};
use crate::proto::registry::token;

use super::{Folder, print_all};

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
        #[arg(long, value_name = "BITS", default_value_t = 16,
              value_parser = clap::value_parser!(u8).range(1..=112))]
        prefix_length: u8,
        #[command(flatten)]
        folder: Folder,
    },
    /// List the tokens that were not used yet
    List {
        #[command(flatten)]
        folder: Folder,
        /// Print JSON, one token a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a token
    Remove {
        /// Which
        token: String,
        #[command(flatten)]
        folder: Folder,
    },
}

impl Token {
    /// Does what `re6st registry token` was asked.
    pub fn run(self) -> Outcome {
        match self.command {
            TokenCommand::Add { email, token, prefix_length, folder } => {
                add_token(&folder, email, token, prefix_length)
            }
            TokenCommand::List { folder, json } => list_tokens(&folder, json),
            TokenCommand::Remove { token, folder } => {
                if folder.write(|tables| tables.delete_token(&token))? {
                    return Ok(());
                }
                Err(Failure::failed(format!("there is no token {token}")))
            }
        }
    }
}

fn add_token(folder: &Folder, email: String, chosen: Option<String>, length: u8) -> Outcome {
    if !token::is_address(&email) {
        return Err(Failure::usage(format!("{email:?} is not the address of a mailbox")));
    }
    if chosen.as_deref().is_some_and(|chosen| !token::is_usable(chosen)) {
        return Err(Failure::usage("a token is 1 to 128 visible ASCII characters"));
    }
    let name = chosen.unwrap_or_else(|| token::draw(&mut entropy::random()));
    let date = unix_time();
    let row = database::Token { token: name, email, prefix_length: length, date };
    if !folder.write(|tables| tables.add_token(&row))? {
        return Err(Failure::failed(format!("there is a token {} already", row.token)));
    }
    println!("{}", row.token);
    Ok(())
}

fn list_tokens(folder: &Folder, as_json: bool) -> Outcome {
    let tokens = folder.read(|tables| tables.tokens())?;
    if as_json {
        return print_all(tokens.into_iter().map(|token| {
            Object::Token(json::Token {
                token: token.token,
                email: token.email,
                prefix_length: token.prefix_length,
                time: token.date.to_string(),
            })
        }));
    }
    let mut table = Table::new();
    table.set_header(["token", "mail", "bits", "since"]);
    for token in tokens {
        let (bits, since) = (token.prefix_length.to_string(), token.date.to_string());
        table.add_row([token.token, token.email, bits, since]);
    }
    println!("{table}");
    Ok(())
}
