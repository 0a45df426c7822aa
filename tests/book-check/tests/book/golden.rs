//! Generated text that is committed.
//!
//! The invariant: without `BLESS=1` nothing is written; with it, the next run without it finds no difference.

use std::path::Path;
use std::{env, fs};

use similar::TextDiff;

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The names of the files in `folder` (from the root of the repository), without `extension`, in order.
pub(crate) fn names(folder: &str, extension: &str) -> Vec<String> {
    let folder = root().join(folder);
    let entries =
        fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.expect("the folder can be read").path());
    let files = entries.filter(|path| path.extension().is_some_and(|its| its == extension));
    let mut names: Vec<_> = files.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned)).collect();
    names.sort();
    names
}

/// Compares what was generated with the file at `path` (from the root of the repository), or writes it there.
///
/// # Errors
/// The difference, and the command that blesses it.
pub(crate) fn bless_or_compare(path: &str, generated: &str) -> Result<(), String> {
    let file = root().join(path);
    let committed = fs::read_to_string(&file).unwrap_or_default();
    if committed == generated {
        return Ok(());
    }
    if env::var_os("BLESS").is_some() {
        let written = fs::create_dir_all(file.with_file_name("")).and_then(|()| fs::write(&file, generated));
        return written.map_err(|error| format!("cannot write {path}: {error}"));
    }
    let diff = TextDiff::from_lines(&committed, generated);
    let diff = diff.unified_diff().header("committed", "generated now").to_string();
    Err(format!("{path} is not what is generated now; if that is right, run `book/bless`:\n{diff}"))
}
