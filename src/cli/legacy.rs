//! Old names: started as one of stock re6stnet's programs, this executable takes that program's options.

use std::ffi::OsString;
use std::path::Path;

/// An old program and the command it is now.
pub struct Alias {
    /// The file name of `argv[0]`, matched exactly.
    pub name: &'static str,
    /// The words it stands for.
    pub command: &'static [&'static str],
}

/// Every old name; `scripts/install` makes a link for each.
pub const ALIASES: &[Alias] = &[
    Alias { name: "re6stnet", command: &["node", "up"] },
    Alias { name: "re6st-conf", command: &["cert", "join"] },
    Alias { name: "re6st-registry", command: &["registry", "serve"] },
    Alias { name: "babeld", command: &["babel", "babeld", "--"] },
];

/// The arguments of `re6st`, whatever name it was started under.
pub fn translate(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    let command = ALIASES.iter().find(|alias| name == alias.name).map_or(&[][..], |a| a.command);
    let program = std::iter::once(OsString::from("re6st"));
    program.chain(command.iter().map(OsString::from)).chain(arguments).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_matched_exactly() {
        let translated = |program: &str| translate([program, "-v"].map(OsString::from));
        assert_eq!(translated("/usr/sbin/re6stnet"), ["re6st", "node", "up", "-v"]);
        assert_eq!(translated("re6st-registry"), ["re6st", "registry", "serve", "-v"]);
        assert_eq!(translated("/opt/my-re6stnet"), ["re6st", "-v"]);
        assert_eq!(translated("re6st"), ["re6st", "-v"]);
    }
}
