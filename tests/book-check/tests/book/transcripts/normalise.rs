//! What changes from run to run, made the same.
//!
//! The invariant: equal things stay equal and different ones different within a script, so that a reader can follow a
//! process or a socket through it. A number that the script itself names is never touched.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::clean::{pattern, without_cargo, without_escapes};
use super::sandbox::{EPHEMERAL_PORTS, FIRST_PID};
use super::script::{Redaction, Script};
use super::terminal::PROMPT;

/// The root of the repository, on no machine in particular.
const ROOT: &str = "/home/you/graceful";

/// Process ids as the sandbox hands them out. Few enough that 8192, a buffer's size, is none.
const PIDS: RangeInclusive<u32> = FIRST_PID..=7999;

/// RFC 3339.
const TIME: &str = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)";

static LOG_TIME: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r"{TIME} +(TRACE|DEBUG|INFO|WARN|ERROR) ")));
static OTHER_TIME: LazyLock<Regex> = LazyLock::new(|| pattern(TIME));
static HTTP_DATE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)(\bdate: )\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT"));
/// In whole milliseconds: a refused connection takes 0 or 1.
static CURL_AFTER: LazyLock<Regex> = LazyLock::new(|| pattern(r"(curl: .* after) \d+ ms"));
static DURATION: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b\d+\.\d+(ns|µs|us|ms|s)\b"));
static INODE: LazyLock<Regex> = LazyLock::new(|| pattern(r"((?:socket|pipe):\[|ino:)(\d+)"));
/// A colon before it is how most write it; tcpdump writes 127.0.0.1.50123.
static PORT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(:|\b(?:\d{1,3}\.){4}|port[ =]|htons\()(\d{5})\b"));
/// Four digits; or those of a fraction, which are left alone.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d\.\d+|\b\d{4}\b"));
/// With the blanks that fill its column, if it is in one.
static TERMINAL: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bpts/(\d+)((?: {2,})?)"));

/// Normalises the stretches of one script, one after the other.
pub(crate) struct Normaliser<'script> {
    script: &'script Script,
    root: String,
    inodes: Numbers,
    ports: Numbers,
    pids: Numbers,
    terminals: Numbers,
}

impl<'script> Normaliser<'script> {
    /// For what `script` shows in the repository at `root`.
    pub(crate) fn new(script: &'script Script, root: &Path) -> Normaliser<'script> {
        Normaliser {
            script,
            root: root.to_string_lossy().into_owned(),
            inodes: Numbers::from(90_001),
            ports: Numbers::from(50_001),
            pids: Numbers::from(4001),
            terminals: Numbers::from(1),
        }
    }

    /// What the page shows for what a terminal showed.
    pub(crate) fn normalise(&mut self, shown: &str) -> String {
        let text = without_escapes(shown).replace(PROMPT, "").replace("\r\n", "\n").replace(&self.root, ROOT);
        let text = times(&without_cargo(&text));
        let text = self.redacted(text);
        let text = self.durations(&text);
        self.numbers(&text)
    }

    fn redacted(&self, text: String) -> String {
        let redact = |text: String, it: &Redaction| it.what.replace_all(&text, &it.replacement).into_owned();
        self.script.redactions.iter().fold(text, redact)
    }

    fn durations(&self, text: &str) -> String {
        let duration = |found: &Captures<'_>| match &found[0] {
            named if self.script.names(named) => named.to_owned(),
            _ => format!("…{}", &found[1]),
        };
        DURATION.replace_all(text, duration).into_owned()
    }

    fn numbers(&mut self, text: &str) -> String {
        let Normaliser { script, inodes, ports, pids, terminals, .. } = self;
        let inode = |found: &Captures<'_>| format!("{}{}", &found[1], inodes.of(&found[2]));
        let text = INODE.replace_all(text, inode);
        let port = |found: &Captures<'_>| match &found[2] {
            number if within(&EPHEMERAL_PORTS, number) && !script.names(number) => {
                format!("{}{}", &found[1], ports.of(number))
            }
            _ => found[0].to_owned(),
        };
        let text = PORT.replace_all(&text, port);
        let pid = |found: &Captures<'_>| match &found[0] {
            number if within(&PIDS, number) && !script.names(number) => pids.of(number),
            other => other.to_owned(),
        };
        let text = NUMBER.replace_all(&text, pid);
        let terminal = |found: &Captures<'_>| {
            // What follows in the next column stays where it is.
            let width = if found[2].is_empty() { 0 } else { found[0].len() };
            format!("{:width$}", format!("pts/{}", terminals.of(&found[1])))
        };
        TERMINAL.replace_all(&text, terminal).into_owned()
    }
}

fn times(text: &str) -> String {
    // At the head of every log line it says nothing, and makes the line half as long again.
    let text = LOG_TIME.replace_all(text, "$3 ");
    let text = OTHER_TIME.replace_all(&text, "2026-01-01T12:00:00Z");
    let text = HTTP_DATE.replace_all(&text, "${1}Thu, 01 Jan 2026 12:00:00 GMT");
    CURL_AFTER.replace_all(&text, "$1 0 ms").into_owned()
}

fn within(range: &RangeInclusive<u32>, number: &str) -> bool {
    number.parse().is_ok_and(|number| range.contains(&number))
}

/// Hands out numbers by first appearance.
struct Numbers {
    next: u32,
    known: HashMap<String, u32>,
}

impl Numbers {
    fn from(next: u32) -> Numbers {
        Numbers { next, known: HashMap::new() }
    }

    /// The number that stands for this one.
    fn of(&mut self, number: &str) -> String {
        let next = &mut self.next;
        let known = self.known.entry(number.to_owned()).or_insert_with(|| {
            *next += 1;
            *next - 1
        });
        known.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a page shows for `shown`, in a script that says `script`.
    fn normalise(script: &str, shown: &str) -> String {
        let script = Script::parse("name", script).expect("the script is right");
        Normaliser::new(&script, Path::new("/root/of/it")).normalise(shown)
    }

    #[test]
    fn a_process_keeps_its_number_wherever_it_appears() {
        let shown =
            "[1] 6012\nlistening pid=6007\n$ ps\n   6012 sleep\n   6007 server\nkept 6012x 8192 3.6012 trace.6012\n";
        let page =
            "[1] 4001\nlistening pid=4002\n$ ps\n   4001 sleep\n   4002 server\nkept 6012x 8192 3.6012 trace.4001\n";
        assert_eq!(normalise("1 $ ps\n", shown), page);
    }

    #[test]
    fn a_number_that_the_script_names_stays() {
        let script = "1 $ curl -d '6012 1.5s' localhost:50123\n";
        assert_eq!(normalise(script, "6012 127.0.0.1:50123 1.5s 6013\n"), "6012 127.0.0.1:50123 1.5s 4001\n");
    }

    #[test]
    fn ports_and_inodes_are_told_apart_and_recognised_again() {
        let shown = "127.0.0.1:50788 [::1]:51000 port 50788 sin_port=htons(51000) IP 127.0.0.1.50788 > :48567 50788\n";
        let page = "127.0.0.1:50001 [::1]:50002 port 50001 sin_port=htons(50002) IP 127.0.0.1.50001 > :48567 50788\n";
        assert_eq!(normalise("1 .\n", shown), page);
        let shown = "3 -> socket:[12345]\n4 -> 'pipe:[777]'\n5 -> socket:[12345]\n/dev/pts/12 pts/3    sh\n";
        let page = "3 -> socket:[90001]\n4 -> 'pipe:[90002]'\n5 -> socket:[90001]\n/dev/pts/1 pts/2    sh\n";
        assert_eq!(normalise("1 .\n", shown), page);
    }

    #[test]
    fn times_stand_still_and_log_lines_have_none() {
        let shown = "^C2026-11-22T18:13:00.123456Z  INFO server: draining timeout=5s\n\
                     started at 2026-11-22T18:13:00+01:00, took 2.345ms\r\nDate: Sun, 22 Nov 2026 18:32:18 GMT\n";
        let page = "^CINFO server: draining timeout=5s\n\
                    started at 2026-01-01T12:00:00Z, took …ms\ndate: Thu, 01 Jan 2026 12:00:00 GMT\n";
        assert_eq!(normalise("1 .\n", shown), page.replace("date", "Date"));
    }

    #[test]
    fn colours_prompts_cargo_and_the_place_of_the_repository_are_not_shown() {
        let shown = "\u{1e}$ cargo run\n   Compiling lab v0.1.0 (/root/of/it/tests/lab)\n     Running `target/debug/lab`\n\
                     \u{1b}[32m INFO\u{1b}[0m in /root/of/it/tests\n\u{1e}";
        assert_eq!(normalise("1 .\n", shown), "$ cargo run\n INFO in /home/you/graceful/tests\n");
    }

    #[test]
    fn a_redaction_is_what_the_script_says() {
        let script = "redact: (\\d+) of \\d+ lost => $1 of … lost\nredact: noise\\n =>\n1 .\n";
        assert_eq!(normalise(script, "0 of 6123 lost\nnoise\n"), "0 of … lost\n");
    }
}
