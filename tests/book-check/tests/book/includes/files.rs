//! The text of the repository, as the rules see it.
//!
//! The invariant: a rule reads no file. It is given all of them by path from the root, so that a test can give it
//! others.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::golden::root;

/// Where the pages are.
pub(crate) const PAGES: &str = "book/src/";

/// Text by path, from the root of the repository and with `/`.
#[derive(Debug, Default)]
pub(crate) struct Files(BTreeMap<String, String>);

impl Files {
    /// Everything in the repository that is text and neither hidden nor built.
    pub(crate) fn read() -> Files {
        let mut files = Files::default();
        files.read_folder(root(), "");
        files
    }

    /// For the test of a rule.
    pub(crate) fn of<const N: usize>(files: [(&str, &str); N]) -> Files {
        Files(files.map(|(path, text)| (path.to_owned(), text.to_owned())).into())
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Path and text of what is in `folder`, at any depth, and ends in `ending`.
    pub(crate) fn within(&self, folder: &str, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        let inside = move |path: &&String| path.starts_with(folder) && path.ends_with(ending);
        self.0.iter().filter(move |(path, _)| inside(path)).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Path and text of every page, and of everything that is generated to be part of one.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (&str, &str)> {
        self.within(PAGES, ".md")
    }

    fn read_folder(&mut self, folder: &Path, name: &str) {
        const BUILT: [&str; 2] = ["target", "book/book"];
        for entry in fs::read_dir(folder).expect("a folder of the repository can be read") {
            let entry = entry.expect("a folder of the repository can be read");
            let file_name = entry.file_name().into_string().expect("names in the repository are UTF-8");
            let name = if name.is_empty() { file_name.clone() } else { format!("{name}/{file_name}") };
            if file_name.starts_with('.') || BUILT.contains(&name.as_str()) {
                continue;
            }
            if entry.path().is_dir() {
                self.read_folder(&entry.path(), &name);
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                self.0.insert(name, text);
            }
        }
    }
}

/// The path that `relative` means on a page in the same folder as `page`.
pub(crate) fn resolve(page: &str, relative: &str) -> String {
    let mut parts: Vec<_> = page.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The line that the byte at `offset` is on.
pub(crate) fn line(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

#[test]
fn a_path_is_resolved_from_the_folder_of_its_page() {
    assert_eq!(resolve("book/src/a.md", "gen/b.md"), "book/src/gen/b.md");
    assert_eq!(resolve("book/src/a.md", "../../chapters/./c.rs"), "chapters/c.rs");
    assert_eq!(resolve("book/src/a.md", "../../../outside"), "../outside");
}
