//! `@FILE` among the arguments: options kept in a file, one a line, as stock re6stnet reads them.
//!
//! ```text
//! # an option without its dashes, then its values
//! registry http://192.0.2.1/
//! pp 1194 udp
//! @more-options
//! ```

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// Files that name each other may nest this deep; a file that names itself is refused here.
const DEPTH_MAX: usize = 8;

/// Why an options file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum OptionsFileError {
    /// It cannot be read.
    #[error("cannot read the options file {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        #[source]
        cause: std::io::Error,
    },
    /// A quote is not closed.
    #[error("{}:{line}: a quote is not closed", path.display())]
    Quote {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// Files name each other without end.
    #[error("{}: options files name each other without end", path.display())]
    Nested {
        /// The file at which patience ended.
        path: PathBuf,
    },
}

/// Replaces every argument `@FILE` by the options in that file. The program's name stays as it is.
pub fn expand(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, OptionsFileError> {
    let mut arguments = arguments.into_iter();
    let mut expanded: Vec<OsString> = arguments.next().into_iter().collect();
    // What follows `--` is another program's: `lab exec HOST -- COMMAND`.
    let mut ours = true;
    for argument in arguments {
        ours &= argument != "--";
        match argument.to_str().and_then(|text| text.strip_prefix('@')) {
            Some(path) if ours && !path.is_empty() => read(Path::new(path), 0, &mut expanded)?,
            _ => expanded.push(argument),
        }
    }
    Ok(expanded)
}

fn read(path: &Path, depth: usize, out: &mut Vec<OsString>) -> Result<(), OptionsFileError> {
    if depth == DEPTH_MAX {
        return Err(OptionsFileError::Nested { path: path.to_owned() });
    }
    let text = fs::read_to_string(path)
        .map_err(|cause| OptionsFileError::Read { path: path.to_owned(), cause })?;
    for (at, line) in text.lines().enumerate() {
        if let Some(nested) = line.strip_prefix('@') {
            read(Path::new(nested.trim_end()), depth + 1, out)?;
            continue;
        }
        let words = shlex::split(line)
            .ok_or_else(|| OptionsFileError::Quote { path: path.to_owned(), line: at + 1 })?;
        let mut words = words.into_iter();
        if let Some(name) = words.next() {
            out.push(option(OsStr::new(&name)));
            out.extend(words.map(OsString::from));
        }
    }
    Ok(())
}

/// `4` is `-4`, `registry` is `--registry`.
fn option(name: &OsStr) -> OsString {
    let mut option = OsString::from(if name.len() == 1 { "-" } else { "--" });
    option.push(name);
    option
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: &[&str]) -> Result<Vec<String>, String> {
        let arguments = arguments.iter().map(OsString::from);
        let expanded = expand(arguments).map_err(|error| error.to_string())?;
        Ok(expanded.into_iter().map(|argument| argument.into_string().unwrap()).collect())
    }

    #[test]
    fn a_file_stands_for_its_options() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("re6stnet.conf");
        let more = folder.path().join("more");
        fs::write(&more, "client-count 3\n").unwrap();
        fs::write(
            &file,
            format!(
                "# stock\n\nregistry http://r/ # here\npp 1194 udp\n4 '0 .0'\n@{}\n",
                more.display()
            ),
        )
        .unwrap();
        let argument = format!("@{}", file.display());
        assert_eq!(
            expanded(&["re6st", "node", "up", &argument, "-v", "3"]).unwrap(),
            [
                "re6st",
                "node",
                "up",
                "--registry",
                "http://r/",
                "--pp",
                "1194",
                "udp",
                "-4",
                "0 .0",
                "--client-count",
                "3",
                "-v",
                "3"
            ]
        );
    }

    #[test]
    fn another_programs_arguments_are_left_alone() {
        let arguments = ["re6st", "lab", "exec", "paris", "--", "mail", "@home"];
        assert_eq!(expanded(&arguments).unwrap(), arguments);
    }

    #[test]
    fn what_cannot_be_read_names_file_and_line() {
        assert!(expanded(&["re6st", "@/nowhere/x"]).unwrap_err().contains("/nowhere/x"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        let argument = format!("@{}", file.display());
        fs::write(&file, "ok 1\nregistry 'http\n").unwrap();
        assert!(
            expanded(&["re6st", &argument]).unwrap_err().ends_with("f:2: a quote is not closed")
        );
        fs::write(&file, &argument).unwrap();
        assert!(expanded(&["re6st", &argument]).unwrap_err().contains("without end"));
    }
}
