//! Where the linker put what a running router executes: `bin/daemon.ld`.

use std::process::Command;

use crate::namespace::RE6ST;

#[test]
fn what_a_router_executes_is_side_by_side() {
    let listed = Command::new("objdump").args(["--syms", RE6ST]).output().unwrap();
    let symbols = String::from_utf8(listed.stdout).unwrap();
    for words in [["5babel6router", "6Router6handle"], ["2os5route", "6Routes5apply"]] {
        let is_it = |line: &&str| words.iter().all(|word| line.contains(word));
        let found: Vec<_> = symbols.lines().filter(is_it).collect();
        let is_there = found.iter().any(|line| line.contains(" .text.daemon\t"));
        assert!(is_there, "{words:?}: {found:#?}");
    }
}
