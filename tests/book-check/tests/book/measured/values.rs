//! The files into which measurements go.
//!
//! The invariant: a file of values is nothing but values, and no two of them have the same name.

use std::collections::BTreeMap;
use std::fs;

use regex::Regex;

use crate::golden::root;

/// The text of a file, named from `book/src`.
pub(super) fn read(path: &str) -> String {
    let path = root().join("book/src").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between the anchors of a file of values, by key.
pub(super) fn values(path: &str) -> BTreeMap<String, String> {
    let text = read(path);
    let value = Regex::new(r"ANCHOR: (\w+)\n(.+)\nANCHOR_END: (\w+)\n").expect("it is a pattern");
    let mut values = BTreeMap::new();
    for captures in value.captures_iter(&text) {
        let [key, value, end] = captures.extract().1;
        assert_eq!(key, end, "{path}: an anchor should end before the next begins");
        let before = values.insert(key.to_owned(), value.to_owned());
        assert_eq!(before, None, "{path}: there are two values called {key}");
    }
    assert_eq!(
        values.len() * 3,
        text.lines().count(),
        "{path} should have an anchor, a line and an anchor for each value"
    );
    values
}

/// One of them, as a number: of milliseconds, or of whatever is counted. `again` says what makes them.
pub(super) fn number(values: &BTreeMap<String, String>, key: &str, again: &str) -> f64 {
    let value = values.get(key).unwrap_or_else(|| panic!("there is no value called {key}; {again}"));
    let number = value.trim_end_matches("\u{a0}ms").replace(',', "");
    number.parse().unwrap_or_else(|error| panic!("{key} is {value:?}: {error}"))
}
