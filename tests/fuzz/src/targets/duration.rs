//! Durations, as a command line, a variable or a query gives them.

use demo::parse_duration;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(duration) = parse_duration(text) {
        assert_eq!(parse_duration(&format!("{duration:?}")), Ok(duration), "what is shown can be read: {text:?}");
    }
}
