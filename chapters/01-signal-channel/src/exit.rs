//! How a program says how it ended.
//!
//! The invariant: whoever started the program can tell success, an error and death by a signal apart by the exit status
//! alone, and every error is one line on stderr.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

// ANCHOR: die_by
/// Dies by `signal`, so that the parent sees what ended us. A shell shows 128 + n; and a script ends on Ctrl-C only if
/// the command that it runs dies by SIGINT (<https://www.cons.org/cracauer/sigint.html>).
///
/// The way to do it is in the glibc manual, "Termination in Handler": restore the default action and raise the signal.
/// It must also be unblocked, or it stays pending (signal(7)). The process ends here: no destructor runs, and what was
/// printed without a newline is lost. So call it last in `main`.
///
/// The return value is for those whom this does not kill: the default action of some signals is harmless, and the
/// kernel protects the first process of a PID namespace, as a program in a container often is, from any default action
/// (`pid_namespaces(7)`). `main` should then return it: exit status 128 + n.
#[must_use]
pub fn die_by(signal: Signal) -> ExitCode {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: sigaction(2) may only install a handler that is async-signal-safe; SIG_DFL is no handler at all.
    let restored = unsafe { sigaction(signal, &default) };
    let unblocked = SigSet::from(signal).thread_unblock();
    if restored.is_ok() && unblocked.is_ok() {
        let _ = raise(signal);
    }
    u8::try_from(128 + signal as i32).map_or(ExitCode::FAILURE, ExitCode::from)
}
// ANCHOR_END: die_by

// ANCHOR: run
/// What a `main` returns: understands the command line, runs `program` with it, and reports what goes wrong.
///
/// `--help` and `--version` go to stdout and give success. A bad option, or an error of the program with its causes, is
/// one sentence on stderr and gives 1. (clap itself prints a paragraph and exits with 2, which is one status more than
/// our programs have a meaning for.)
pub fn run<A: Parser, E: Into<Box<dyn Error>>>(program: impl FnOnce(A) -> Result<ExitCode, E>) -> ExitCode {
    match A::try_parse() {
        Ok(args) => program(args).unwrap_or_else(|error| report(&with_causes(&*error.into()))),
        Err(error) if error.use_stderr() => report(&refusal(&error)),
        Err(help) => {
            // Nobody is left to tell if stdout is closed.
            let _ = help.print();
            ExitCode::SUCCESS
        }
    }
}
// ANCHOR_END: run

fn report(sentence: &str) -> ExitCode {
    // Not `eprintln!`: that panics if stderr is closed, and then even the exit status would be wrong.
    let _ = writeln!(io::stderr(), "error: {}", one_line(sentence));
    ExitCode::FAILURE
}

/// clap's first paragraph names the option and what is wrong with it. The rest is the usage, which `--help` shows.
fn refusal(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let sentence = paragraph.strip_prefix("error: ").unwrap_or(paragraph);
    format!("{}; see --help", sentence.trim_end())
}

/// Many errors quote their source already; only a source that adds something is added.
fn with_causes(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !sentence.contains(&text) {
            sentence = format!("{sentence}: {text}");
        }
        source = cause.source();
    }
    sentence
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
    fn where_the_signal_does_not_kill_the_status_says_it() {
        // SIGURG is ignored by default.
        assert_eq!(format!("{:?}", die_by(Signal::SIGURG)), format!("{:?}", ExitCode::from(128 + 23)));
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
    fn an_error_of_many_lines_is_reported_as_one() {
        assert_eq!(
            one_line("these are missing:\n  --listen <ADDR>\n  NAME"),
            "these are missing: --listen <ADDR> NAME"
        );
    }
}
