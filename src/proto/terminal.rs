//! Text of others on a terminal: what would steer the terminal, or turn the direction of what is read, is escaped.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes control characters but for line ends and tabs, and what changes the direction of text.
pub fn text(text: &str) -> Cow<'_, str> {
    let is_escaped = |character| is_steering(character) && !matches!(character, '\n' | '\t');
    escaped(text, is_escaped, as_in_rust)
}

/// The same for what shall stay on one line.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_steering, as_in_rust)
}

/// The same for JSON on one line, which stays the same JSON.
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(text, is_steering, |escaped, character| {
        // All of them have four digits.
        let _ = write!(escaped, "\\u{:04x}", u32::from(character));
    })
}

fn as_in_rust(escaped: &mut String, character: char) {
    // A String takes everything.
    let _ = write!(escaped, "{}", character.escape_unicode());
}

fn escaped(
    text: &str,
    is_escaped: impl Fn(char) -> bool,
    escape: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_escaped(character) {
            escape(&mut escaped, character);
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Control characters; Unicode's line separators and bidirectional marks, embeddings, overrides and isolates.
fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        for (given, shown) in [
            ("re6st 0.1.0, Linux x86_64", "re6st 0.1.0, Linux x86_64"),
            ("Ünïcödé 名前", "Ünïcödé 名前"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u{1b}[2J\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("over\r\u{8}written\u{7f}", "over\\u{d}\\u{8}written\\u{7f}"),
        ] {
            assert_eq!(text(given), shown);
            assert_eq!(line(given), shown);
        }
        assert_eq!(json("{\"a\":\"\u{9b}31m\u{202e}\"}"), "{\"a\":\"\\u009b31m\\u202e\"}");
        assert_eq!(text("two\n\tlines"), "two\n\tlines");
        assert_eq!(line("two\n\tlines"), "two\\u{a}\\u{9}lines");
    }
}
