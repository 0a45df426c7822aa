//! The pictures, and their numbers, as the book includes them.
//!
//! The invariant: nothing is written before every way was recorded; what is there then is of one run.

use std::fs;
use std::io;
use std::path::Path;

use super::draw;
use super::recording::{By, Recording};
use crate::book;

/// Writes `NAME.svg` for each recording, and `values.md` with its numbers between anchors, for sentences to include.
///
/// # Errors
/// What the file system says.
pub fn write(recordings: &[Recording], directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for recording in recordings {
        fs::write(directory.join(recording.way.name()).with_extension("svg"), draw(recording))?;
    }
    fs::write(directory.join("values.md"), recordings.iter().map(values).collect::<String>())
}

fn values(recording: &Recording) -> String {
    let name = recording.way.name().replace('-', "_");
    let value = |what: &str, value: String| book::value(&format!("{name}_{what}"), &value);
    let count = |what: &str, count: usize| value(what, count.to_string());
    let silence = recording.silence().map(|span| value("silence", format!("{:.0} ms", span.to - span.from)));
    [
        count("answered", recording.answered()),
        count("lost", recording.lost()),
        count("cut", recording.count(By::NobodyCut)),
        count("refused", recording.count(By::NobodyRefused)),
        silence.unwrap_or_default(),
    ]
    .concat()
}
