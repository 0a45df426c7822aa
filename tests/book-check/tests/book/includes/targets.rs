//! Which files Cargo compiles.
//!
//! The invariant: a file counts as compiled only if a target of the workspace leads to it, from `mod` to `mod`.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::files::{Files, resolve};
use crate::golden::root;

/// `mod name;`, with the file it is given, always or by a feature.
static MODULE: LazyLock<Regex> = LazyLock::new(|| {
    let given =
        r#"#\[(?:path\s*=\s*"(?<always>[^"]+)"|cfg_attr\([^"]*"[^"]*",\s*path\s*=\s*"(?<sometimes>[^"]+)"\))\]\s*"#;
    let module = r"(?:pub(?:\([^)]*\))?\s+)?mod\s+(?<name>\w+)\s*;";
    Regex::new(&format!(r"(?m)^\s*(?:{given})?{module}")).expect("a regex")
});

/// The first file of every target: libraries, programs, examples, tests, benchmarks.
pub(crate) fn roots() -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version=1"]).current_dir(root());
    let output = cargo.output().expect("Cargo runs this test");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("`cargo metadata` writes JSON");
    let folder = metadata["workspace_root"].as_str().expect("the workspace has a root");
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let files = targets.filter_map(|target| target["src_path"].as_str()?.strip_prefix(folder)?.strip_prefix('/'));
    files.map(str::to_owned).collect()
}

/// Everything that is compiled, beginning with these files.
pub(crate) fn compiled(files: &Files, roots: &[String]) -> BTreeSet<String> {
    let mut compiled = BTreeSet::new();
    let mut new: Vec<_> = roots.iter().map(|root| (root.clone(), folder(root).to_owned())).collect();
    while let Some((file, submodules)) = new.pop() {
        let Some(text) = files.text(&file) else { continue };
        for module in MODULE.captures_iter(text) {
            for given in ["always", "sometimes"].iter().filter_map(|kind| module.name(kind)) {
                let path = resolve(&file, given.as_str());
                new.push((path.clone(), folder(&path).to_owned()));
            }
            let below = format!("{submodules}{}/", &module["name"]);
            let (beside, inside) = (format!("{submodules}{}.rs", &module["name"]), format!("{below}mod.rs"));
            if module.name("always").is_none() {
                new.push((if files.text(&inside).is_some() { inside } else { beside }, below));
            }
        }
        compiled.insert(file);
    }
    compiled
}

/// The folder of a file, with the slash at its end.
fn folder(file: &str) -> &str {
    file.rfind('/').map_or("", |slash| &file[..=slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_leads_to_its_file() {
        let files = Files::of([
            ("a/src/lib.rs", "mod one;\npub(crate) mod two;\nmod inline {}\n// mod comment;\n"),
            ("a/src/one.rs", "pub mod deep;"),
            ("a/src/one/deep.rs", "#[cfg_attr(feature = \"other\", path = \"../other.rs\")]\nmod either;"),
            ("a/src/one/deep/either.rs", ""),
            ("a/src/other.rs", ""),
            ("a/src/two/mod.rs", "#[path = \"odd/name.rs\"]\nmod three;"),
            ("a/src/two/odd/name.rs", ""),
            ("a/src/comment.rs", ""),
            ("a/src/nobody.rs", ""),
        ]);
        let compiled = compiled(&files, &["a/src/lib.rs".to_owned()]);
        let expected = [
            "a/src/lib.rs",
            "a/src/one.rs",
            "a/src/one/deep.rs",
            "a/src/one/deep/either.rs",
            "a/src/other.rs",
            "a/src/two/mod.rs",
            "a/src/two/odd/name.rs",
        ];
        assert!(compiled.iter().eq(expected), "{compiled:?}");
    }

    #[test]
    fn this_file_is_compiled() {
        let compiled = compiled(&Files::read(), &roots());
        assert!(compiled.contains("tests/book-check/tests/book/includes/targets.rs"), "{compiled:#?}");
    }
}
