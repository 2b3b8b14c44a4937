//! OpenVPN's configuration files: lines of words, and files written inside them.
//!
//! ```text
//! remote host.example 1194 udp     # words as a shell has them; # and ; begin comments
//! <ca>
//! -----BEGIN CERTIFICATE----- …
//! </ca>
//! ```

use crate::proto::limits::{TUNNEL_CONFIGURATION_LINES_MAX, TUNNEL_CONFIGURATION_WORDS_MAX};

/// One option of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directive {
    /// Its line, the first is 1.
    pub line: usize,
    /// Its name, without hyphens.
    pub name: String,
    /// What follows the name.
    pub words: Vec<String>,
    /// The file that is written inside.
    pub inline: Option<String>,
}

/// Why a file cannot be read, and its line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OvpnError {
    /// Not even text.
    #[error("is not a text file")]
    NotText,
    /// More lines than anybody writes.
    #[error("has more than {TUNNEL_CONFIGURATION_LINES_MAX} lines")]
    TooLong,
    /// A quotation mark without another.
    #[error("line {0}: a quotation mark is not closed")]
    Quotation(usize),
    /// More words than any option has.
    #[error("line {0}: has more than {TUNNEL_CONFIGURATION_WORDS_MAX} words")]
    Words(usize),
    /// Hyphens or quotation marks, and no option.
    #[error("line {0}: names no option")]
    Nameless(usize),
    /// A file inside that does not end.
    #[error("line {line}: <{name}> is not followed by </{name}>")]
    Open {
        /// Where it begins.
        line: usize,
        /// What it is.
        name: String,
    },
}

/// Reads a file.
pub fn parse(file: &[u8]) -> Result<Vec<Directive>, OvpnError> {
    let text = std::str::from_utf8(file).map_err(|_| OvpnError::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let mut directives = Vec::new();
    while let Some((line, content)) = lines.next() {
        if line > TUNNEL_CONFIGURATION_LINES_MAX {
            return Err(OvpnError::TooLong);
        }
        if let Some(name) = opening(content).filter(|&name| name != CONNECTION) {
            let inline = inline(name, &mut lines)
                .ok_or_else(|| OvpnError::Open { line, name: name.to_owned() })?;
            let (name, words) = (name.to_owned(), Vec::new());
            directives.push(Directive { line, name, words, inline: Some(inline) });
            continue;
        }
        let mut words = words(content, line)?.into_iter();
        if let Some(name) = words.next() {
            let name = name.strip_prefix("--").unwrap_or(&name).to_owned();
            if name.is_empty() {
                return Err(OvpnError::Nameless(line));
            }
            directives.push(Directive { line, name, words: words.collect(), inline: None });
        }
    }
    Ok(directives)
}

/// What is between these is options, too, of one server: `<connection>` and `</connection>` are theirs.
const CONNECTION: &str = "connection";

/// The name in `<name>`.
fn opening(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix('<')?.strip_suffix('>')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

fn inline<'a>(name: &str, lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Option<String> {
    let end = format!("</{name}>");
    let mut text = String::new();
    for (_, line) in lines {
        if line.trim() == end {
            return Some(text);
        }
        text.push_str(line);
        text.push('\n');
    }
    None
}

/// The words of a line: in double quotation marks a backslash escapes, in single ones nothing does.
fn words(line: &str, number: usize) -> Result<Vec<String>, OvpnError> {
    let mut words = Vec::new();
    let mut letters = line.chars().peekable();
    loop {
        while letters.next_if(|c| c.is_whitespace()).is_some() {}
        if matches!(letters.peek(), None | Some('#' | ';')) {
            return Ok(words);
        }
        if words.len() == TUNNEL_CONFIGURATION_WORDS_MAX {
            return Err(OvpnError::Words(number));
        }
        words.push(word(&mut letters).ok_or(OvpnError::Quotation(number))?);
    }
}

fn word(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut word = String::new();
    let mut quotation = None;
    loop {
        match (letters.peek().copied(), quotation) {
            (None, Some(_)) => return None,
            (None, None) => return Some(word),
            (Some(c), None) if c.is_whitespace() => return Some(word),
            (Some(c), Some(mark)) if c == mark => {
                letters.next();
                quotation = None;
            }
            (Some(mark @ ('"' | '\'')), None) => {
                letters.next();
                quotation = Some(mark);
            }
            (Some('\\'), None | Some('"')) => {
                letters.next();
                word.extend(letters.next());
            }
            (Some(c), _) => {
                letters.next();
                word.push(c);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(file: &str) -> Vec<String> {
        let directives = parse(file.as_bytes()).unwrap();
        let show = |d: Directive| format!("{} {} {:?} {:?}", d.line, d.name, d.words, d.inline);
        directives.into_iter().map(show).collect()
    }

    #[test]
    fn words_comments_quotations_and_files_inside_are_read() {
        let file = "client # a comment\n; another\n\n  --remote \"a host\" 1194\nverify-x509-name 'C=\\x' name\n\
                    <ca>\nline 1\n  </ca>\nsetenv a\\ b \"c\\\"d\"\r\n";
        assert_eq!(
            shown(file),
            [
                "1 client [] None",
                "4 remote [\"a host\", \"1194\"] None",
                "5 verify-x509-name [\"C=\\\\x\", \"name\"] None",
                "6 ca [] Some(\"line 1\\n\")",
                "9 setenv [\"a b\", \"c\\\"d\"] None",
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_names_its_line() {
        let error = |file: &[u8]| parse(file).unwrap_err().to_string();
        assert_eq!(error(b"client\nremote \"a"), "line 2: a quotation mark is not closed");
        assert_eq!(error(b"\n<key>\nabc\n"), "line 2: <key> is not followed by </key>");
        assert_eq!(error(b"\xff\xfe"), "is not a text file");
        assert_eq!(error(b"client\n--\n"), "line 2: names no option");
        assert_eq!(error(b"\"\" a"), "line 1: names no option");
        assert_eq!(error("a ".repeat(99).as_bytes()), "line 1: has more than 16 words");
        assert_eq!(error("\n".repeat(100_000).as_bytes()), "has more than 10000 lines");
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&octets);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-c<>/\"'\\\\ \n#-]{0,80}") {
            let _ = parse(text.as_bytes());
        }
    }
}
