//! What a `main` does around its program: read the command line, and report what goes wrong.
//!
//! The invariant: the exit status alone tells success from failure, and every error is one line on stderr.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;
use rustix::io::Errno;

use crate::stderr::Stderr;

// ANCHOR: run
/// Parses the command line, runs `program` with it, reports what goes wrong, and returns the exit status for `main`.
///
/// `--help` and `--version` print to stdout, and the status is 0. A bad option, or an error of the program with its
/// causes, is one sentence on stderr, and the status is 1. (clap itself prints a paragraph and exits with 2, a status
/// that the contract of our programs does not define.)
pub fn run<A: Parser, E: Into<Box<dyn Error>>>(program: impl FnOnce(A) -> Result<ExitCode, E>) -> ExitCode {
    match A::try_parse() {
        Ok(args) => program(args).unwrap_or_else(|error| report(&with_causes(&*error.into()))),
        Err(error) if error.use_stderr() => report(&refusal(&error)),
        Err(help) => {
            // `Err`: stdout is closed, so no reader is left.
            let _ = help.print();
            ExitCode::SUCCESS
        }
    }
}
// ANCHOR_END: run

fn report(sentence: &str) -> ExitCode {
    // Not `eprintln!`, which panics if stderr is closed: then even the exit status would be wrong.
    let _ = Stderr.write_all(format!("error: {}\n", one_line(sentence)).as_bytes());
    ExitCode::FAILURE
}

/// clap's first paragraph names the option and what is wrong with it. The rest is the usage, which `--help` shows.
fn refusal(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let sentence = paragraph.strip_prefix("error: ").unwrap_or(paragraph);
    format!("{}; see --help", sentence.trim_end())
}

/// Many errors quote their source already, so only a source that says something new is appended. If a resource limit
/// was reached, the limit is named, whichever call reached it.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut sentence = error.to_string();
    let mut source = Some(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !sentence.contains(&text) {
            sentence = format!("{sentence}: {text}");
        }
        let limit = cause.downcast_ref::<io::Error>().and_then(limit_met).filter(|_| !sentence.contains("ulimit"));
        sentence.extend(limit.map(|limit| format!("; raise the limit: {limit}")));
        source = cause.source();
    }
    sentence
}

fn limit_met(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some("ulimit -n"),
        // From fork(2) and clone(2).
        Errno::AGAIN => Some("ulimit -u"),
        _ => None,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapped(&'static str, Option<io::Error>);

    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_ref().map(|source| source as _)
        }
    }

    #[test]
    fn a_cause_that_adds_something_is_added() {
        let error = Wrapped("cannot start", Some(io::Error::other("no such file")));
        assert_eq!(with_causes(&error), "cannot start: no such file");
    }

    #[test]
    fn a_cause_that_was_quoted_already_is_not_repeated() {
        let error = Wrapped("cannot start: no such file; check the path", Some(io::Error::other("no such file")));
        assert_eq!(with_causes(&error), "cannot start: no such file; check the path");
    }

    #[test]
    fn a_limit_is_named_once() {
        let full = || Some(io::Error::from(Errno::MFILE));
        let text = full().expect("it is an error").to_string();
        assert_eq!(with_causes(&full().expect("it is an error")), format!("{text}; raise the limit: ulimit -n"));
        assert_eq!(
            with_causes(&Wrapped("cannot start", full())),
            format!("cannot start: {text}; raise the limit: ulimit -n")
        );
        assert_eq!(with_causes(&Wrapped("see ulimit -n", full())), format!("see ulimit -n: {text}"));
        assert_eq!(
            with_causes(&io::Error::from(Errno::AGAIN)),
            format!("{}; raise the limit: ulimit -u", io::Error::from(Errno::AGAIN))
        );
    }

    #[test]
    fn an_error_of_many_lines_is_reported_as_one() {
        assert_eq!(
            one_line("these are missing:\n  --listen <ADDR>\n  NAME"),
            "these are missing: --listen <ADDR> NAME"
        );
    }
}
