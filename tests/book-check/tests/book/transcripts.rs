//! What a page shows of a terminal is what happens: transcripts are replayed, not written.
//!
//! The invariant: `book/src/gen/transcripts/NAME.md` is what `book/transcripts/NAME.txt` shows when it is played.
//!
//! # Scripts
//!
//! One step a line. `N`, from 1 to 4, is a terminal: a shell in the root of the repository.
//!
//! | line | what happens |
//! | --- | --- |
//! | `N $ COMMAND` | waits for the prompt, types this and presses Enter |
//! | `N ~ PART` | waits for a line that contains this, and shows everything up to its end |
//! | `N ~ PART \| PART` | waits for a line each, in whatever order they come, and shows them in this one |
//! | `N .` | waits until the prompt is back, and shows everything before it |
//! | `N ^C` | presses Ctrl-C; `^Z`, `^D` and `^\` likewise |
//! | `N < LINE` | types this for the program that runs, and presses Enter |
//! | `hide N …` | any of these, without showing it; a command is awaited |
//! | `need: PROGRAM PACKAGE` | skips the script, aloud, where the program is missing |
//! | `redact: REGEX => REPLACEMENT` | shows something else for what is different every time; `$1` is a group |
//! | `# …` | nothing |
//!
//! Nothing is shown that was not awaited, so await every line that the reader should see, in an order that cannot
//! change. All terminals of a script are in one [sandbox](sandbox): every port is free, `/tmp` is empty, the repository
//! is read-only, and whatever still runs at the end is killed.
//!
//! Process ids are shown as 4001, 4002 … by first appearance, ephemeral ports as 50001 …, inodes as 90001 …; times as
//! one fixed time, and not at all at the head of a log line; durations with a fraction as `…ms`. What Cargo says while
//! it builds is left out. The [rest](normalise) is up to `redact:`.
//!
//! # To play and to bless
//!
//! ```console
//! $ cargo test -p book-check transcripts                            # compare all
//! $ TRANSCRIPT=ch1-ctrl-c cargo test -p book-check transcripts      # compare one
//! $ BLESS=1 TRANSCRIPT=ch1-ctrl-c cargo test -p book-check transcripts
//! ```

mod build;
mod clean;
mod lines;
mod normalise;
mod render;
mod replay;
mod sandbox;
mod script;
mod terminal;

use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use testkit::require_program;

use crate::golden::{bless_or_compare, names, root};
use normalise::Normaliser;
use replay::Stretch;
use script::{Need, Script};

const SCRIPTS: &str = "book/transcripts";
const TRANSCRIPTS: &str = "book/src/gen/transcripts";

/// For any one step. Only a failing test ever waits this long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Scripts that are played at a time: most of the time they wait.
const PLAYERS: usize = 4;

#[test]
fn every_transcript_is_what_happens() {
    if !sandbox::allowed() {
        return;
    }
    let (scripts, bad): (Vec<_>, Vec<_>) = chosen().iter().map(|name| read(name)).partition(Result::is_ok);
    let scripts: Vec<_> = scripts.into_iter().filter_map(Result::ok).collect();
    let mut complaints: Vec<_> = bad.into_iter().filter_map(Result::err).collect();
    let unbuilt = build::build(&scripts);
    complaints.extend(if unbuilt.is_empty() { play(&scripts) } else { unbuilt });
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

#[test]
fn every_transcript_is_on_a_page() {
    let pages = names("book/src", "md").into_iter().map(|page| root().join("book/src").join(page + ".md"));
    let pages: String = pages.map(|page| fs::read_to_string(page).expect("a page can be read")).collect();
    for script in names(SCRIPTS, "txt") {
        let include = format!("{{{{#include gen/transcripts/{script}.md}}}}");
        assert!(pages.contains(&include), "no page has {include}: include it, or delete {SCRIPTS}/{script}.txt");
    }
}

/// The names of all scripts, or of the one that `TRANSCRIPT` names.
fn chosen() -> Vec<String> {
    env::var("TRANSCRIPT").map_or_else(|_| names(SCRIPTS, "txt"), |name| vec![name])
}

fn read(name: &str) -> Result<Script, String> {
    let path = format!("{SCRIPTS}/{name}.txt");
    let text = fs::read_to_string(root().join(&path)).map_err(|error| format!("cannot read {path}: {error}"))?;
    Script::parse(name, &text)
}

/// Plays scripts and returns what is wrong with them.
fn play(scripts: &[Script]) -> Vec<String> {
    // `cargo test` puts a build of its own where `cargo run` has put the program: for a moment, nothing is there.
    let (testing, running): (Vec<_>, Vec<_>) = scripts.iter().partition(|script| build::tests(script));
    let mut complaints = play_at_once(&running, PLAYERS);
    complaints.extend(play_at_once(&testing, 1));
    complaints
}

fn play_at_once(scripts: &[&Script], players: usize) -> Vec<String> {
    let queue = Mutex::new(scripts.iter());
    let next = || queue.lock().expect("no player panics").next();
    let player = || std::iter::from_fn(next).filter_map(|script| check(script).err()).collect::<Vec<_>>();
    thread::scope(|scope| {
        let players: Vec<_> = (0..players).map(|_| scope.spawn(player)).collect();
        players.into_iter().flat_map(|player| player.join().expect("no player panics")).collect()
    })
}

/// Plays a script until it shows what is committed; three times at most.
///
/// On a machine that is busy with other things, a packet or a process may be late, and a page shows one of the orders
/// that are possible. What is not possible does not come out three times.
fn check(script: &Script) -> Result<(), String> {
    let is_met = |need: &Need| require_program(&need.program, &need.package).is_some();
    if !script.needs.iter().all(is_met) {
        return Ok(());
    }
    let again = |complaint: String| {
        println!("once more, for {complaint}");
        compare(script)
    };
    compare(script).or_else(again).or_else(again)
}

/// Plays a script, and compares what it shows with what is committed.
fn compare(script: &Script) -> Result<(), String> {
    let begin = Instant::now();
    let shown = replay::replay(script, TIMEOUT)?;
    println!("{}: {:.1?}", script.name, begin.elapsed());
    let root = root().canonicalize().map_err(|error| error.to_string())?;
    let mut normaliser = Normaliser::new(script, &root);
    let shown =
        shown.into_iter().map(|Stretch { terminal, text }| Stretch { terminal, text: normaliser.normalise(&text) });
    bless_or_compare(&format!("{TRANSCRIPTS}/{}.md", script.name), &render::render(shown.collect()))
}
