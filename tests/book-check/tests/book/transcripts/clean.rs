//! What a terminal was sent, as text.
//!
//! The invariant: what a reader would see stays, and stays in order.

use std::sync::LazyLock;

use regex::Regex;

/// Control sequences (ECMA-48): colours and the like.
static ESCAPE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\x1b\[[0-9;?]*[ -/]*[@-~]"));

/// What Cargo says while it builds: on the reader's machine it differs from run to run.
static CARGO: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?m)^ +(Blocking|Compiling|Building|Checking|Downloaded|Downloading|Finished|Fresh|Locking|Running|Updating|Executable|Doc-tests) .*\n",
    )
});

/// A pattern that is known to be right.
pub(crate) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is right")
}

/// Without colours.
pub(crate) fn without_escapes(text: &str) -> String {
    ESCAPE.replace_all(text, "").into_owned()
}

/// Without what Cargo says of its own work.
pub(crate) fn without_cargo(text: &str) -> String {
    CARGO.replace_all(text, "").into_owned()
}
