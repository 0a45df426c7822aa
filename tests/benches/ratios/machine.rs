//! Where and with what the figures were measured.
//!
//! The invariant: it only reads; and what a machine does not say is left out, not guessed.

use std::fs;
use std::process::Command;

use jiff::Timestamp;

use crate::process::total_memory;

/// The packages whose versions matter to a figure.
const PACKAGES: [&str; 4] = ["hyper", "nix", "signal-hook", "tokio"];

pub(crate) struct Fact {
    /// As the book calls it.
    pub(crate) key: &'static str,
    /// As a reader does.
    pub(crate) what: &'static str,
    pub(crate) value: String,
}

/// What there is to say. `load` is that of the machine before it had to measure.
pub(crate) fn facts(load: f64) -> Vec<Fact> {
    let fact = |key, what, value| Fact { key, what, value };
    let facts = [
        fact("machine_processors", "processors", processors()),
        fact("machine_memory", "memory", format!("{:.0} GiB", f64::from(total_memory()) / f64::from(1 << 20))),
        fact("machine_kernel", "Linux", read("/proc/sys/kernel/osrelease")),
        fact("machine_rustc", "rustc", word(&output("rustc", "--version"), 1)),
        fact("machine_go", "Go", word(&output("go", "version"), 2).trim_start_matches("go").to_owned()),
        fact("machine_packages", "packages", packages()),
        fact("machine_load", "load before the run", format!("{load:.2}")),
        fact("machine_date", "date", Timestamp::now().strftime("%Y-%m-%d").to_string()),
    ];
    facts.into_iter().filter(|fact| !fact.value.is_empty()).collect()
}

fn processors() -> String {
    let number = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let text = read("/proc/cpuinfo");
    let model = text.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1));
    model.map_or_else(|| number.to_string(), |model| format!("{number} × {model}"))
}

/// As `Cargo.lock` has them.
fn packages() -> String {
    let lock = read(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));
    let version = |package: &&str| {
        let after = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?.1;
        Some(format!("{package} {}", after.split_once('"')?.0))
    };
    PACKAGES.iter().filter_map(version).collect::<Vec<_>>().join(", ")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn output(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).into_owned()
}

fn word(text: &str, number: usize) -> String {
    text.split_whitespace().nth(number).unwrap_or_default().to_owned()
}
