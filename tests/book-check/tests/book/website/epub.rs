//! The book as one file for an e-reader.
//!
//! The invariant: one command makes it of the same pages, nothing is missing in it, and it is a valid EPUB 3 (W3C).

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use testkit::require;

use super::built::Built;
use crate::golden::root;

/// Where Debian's package has the checker: a program and an archive for Java in one.
const EPUBCHECK: &str = "/usr/bin/epubcheck";

#[test]
fn one_command_makes_a_valid_epub_of_the_whole_book() {
    let Some(_) = Built::book() else { return };
    let tools = Command::new("pandoc").arg("--version").output().is_ok() && Path::new(EPUBCHECK).exists();
    if !require(tools, "this test needs pandoc and epubcheck: install them with `apt-get install pandoc epubcheck`") {
        return;
    }
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("graceful.epub");
    let made = Command::new(root().join("book/epub")).arg(&file).output().expect("book/epub can be started");
    // Pandoc complains of a picture or page that is not there.
    let complaints = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success() && complaints.is_empty(), "book/epub: {}\n{complaints}", made.status);

    let checked = Command::new("java").args(["-jar", EPUBCHECK]).arg(&file).output();
    let checked = checked.expect("java comes with epubcheck");
    let report = String::from_utf8_lossy(&checked.stdout);
    let errors = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "epubcheck complains:\n{errors}{report}");
}
