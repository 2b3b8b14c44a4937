//! What every command says and does when it is asked wrongly, or when the world is broken.

mod authority;
mod certificates;
mod full_disk;
mod rubbish;
mod units;
mod words;

use std::process::{Command, Output};

use crate::namespace::RE6ST;

/// Runs `re6st` in the folder of this package; what it printed and how it ended, after 20 s at most.
fn re6st(arguments: &[&str]) -> Output {
    Command::new("timeout").args(["20", RE6ST]).args(arguments).output().expect("timeout")
}

/// `re6st ARGUMENTS` must end with `code` and say one sentence on standard error that has all `words`.
fn refuses(arguments: &[&str], code: i32, words: &[&str]) {
    assert_refusal(&format!("{arguments:?}"), &re6st(arguments), code, words);
}

/// The output is a refusal: nothing on standard output, one sentence on standard error.
fn assert_refusal(what: &str, output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{what}: {said}");
    assert!(!said.contains("panicked"), "{what}: {said}");
    // The parser of options adds what can be typed; ours is one line.
    let begins = |line: &str| line.starts_with("re6st: ") || line.starts_with("error: ");
    let paragraphs = said.split("\n\n").filter(|paragraph| paragraph.lines().any(begins));
    let sentence = paragraphs.last().unwrap_or_else(|| panic!("{what}: no sentence in {said:?}"));
    for word in words {
        assert!(sentence.contains(word), "{what}: no {word:?} in {sentence:?}");
    }
    assert!(output.stdout.is_empty(), "{what}: {}", String::from_utf8_lossy(&output.stdout));
}
