//! The book, built.
//!
//! The invariant: it is built anew, by the `mdbook` on `PATH`, into a directory that is gone with it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use testkit::require;

use crate::golden::root;

/// What mdBook made of the book.
#[derive(Debug)]
pub(crate) struct Built {
    directory: TempDir,
    log: String,
}

/// A page of it.
#[derive(Debug)]
pub(crate) struct Page {
    /// Its file: `introduction.html`.
    pub(crate) name: String,
    pub(crate) html: String,
}

impl Built {
    /// Builds the book, or says how to get what is missing.
    pub(crate) fn book() -> Option<Built> {
        let version = Command::new("mdbook").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
        let present = version.starts_with(b"mdbook v0.5.");
        if !require(present, "this test needs mdBook 0.5: install it with `cargo install mdbook@0.5.4 --locked`") {
            return None;
        }
        let directory = TempDir::new().expect("a temporary directory");
        let mut mdbook = Command::new("mdbook");
        mdbook.args(["build", "book", "--dest-dir"]).arg(directory.path()).current_dir(root()).env_remove("RUST_LOG");
        let output = mdbook.output().expect("mdBook was here a moment ago");
        let log = [output.stdout, output.stderr].concat();
        let log = String::from_utf8_lossy(&log).into_owned();
        assert!(output.status.success(), "`mdbook build book` failed:\n{log}");
        Some(Built { directory, log })
    }

    /// What mdBook said.
    pub(crate) fn log(&self) -> &str {
        &self.log
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Every file, by its path within the book.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        let mut folders = vec![self.directory().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("the book is there") {
                let path = entry.expect("the book is there").path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(file) = path.strip_prefix(self.directory()) {
                    files.insert(file.to_string_lossy().into_owned());
                }
            }
        }
        files
    }

    /// Every file that a browser could open, in order.
    pub(crate) fn pages(&self) -> Vec<Page> {
        let is_page = |file: &String| Path::new(file).extension().is_some_and(|extension| extension == "html");
        let names = self.files().into_iter().filter(is_page);
        let html = |name: &str| fs::read_to_string(self.directory().join(name)).expect("mdBook writes UTF-8");
        names.map(|name| Page { html: html(&name), name }).collect()
    }
}
