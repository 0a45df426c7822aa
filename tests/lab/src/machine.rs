//! Where and with what the figures were measured.
//!
//! The invariant: it only reads; and what a machine does not say is left out, not guessed.

use std::fs;
use std::process::Command;

use jiff::Timestamp;
use serde::Serialize;

/// The packages whose versions matter to a figure.
const PACKAGES: [&str; 4] = ["hyper", "nix", "signal-hook", "tokio"];

/// A fact about the machine.
#[derive(Debug, Clone, Serialize)]
pub struct Fact {
    /// Its key in the book.
    pub key: &'static str,
    /// Its name for a reader.
    pub what: &'static str,
    /// What the machine says.
    pub value: String,
}

/// The facts that this machine gives. `load` is its load before the measurement.
#[must_use]
pub fn facts(load: f64) -> Vec<Fact> {
    let fact = |key, what, value| Fact { key, what, value };
    let facts = [
        fact("machine_processors", "processors", processors()),
        fact("machine_memory", "memory", memory()),
        fact("machine_kernel", "Linux", read("/proc/sys/kernel/osrelease")),
        fact("machine_rustc", "rustc", word(&output("rustc", "--version"), 1)),
        fact("machine_go", "Go", word(&output("go", "version"), 2).trim_start_matches("go").to_owned()),
        fact("machine_packages", "packages", packages()),
        fact("machine_load", "load before the run", format!("{load:.2}")),
        fact("machine_date", "date", Timestamp::now().strftime("%Y-%m-%d").to_string()),
    ];
    facts.into_iter().filter(|fact| !fact.value.is_empty()).collect()
}

/// How many tasks wanted a processor in the last minute, on average. 0 if the kernel does not say.
#[must_use]
pub fn load() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

fn memory() -> String {
    let text = read("/proc/meminfo");
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    total.map(|kib: u32| format!("{:.0} GiB", f64::from(kib) / f64::from(1 << 20))).unwrap_or_default()
}

fn processors() -> String {
    let number = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let text = read("/proc/cpuinfo");
    let model = text.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1));
    model.map_or_else(|| number.to_string(), |model| format!("{number} × {model}"))
}

/// As `Cargo.lock` has them.
fn packages() -> String {
    let lock = read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"));
    PACKAGES.iter().filter_map(|package| locked(&lock, package)).collect::<Vec<_>>().join(", ")
}

/// A package with its version, as the text of a `Cargo.lock` has it.
pub(crate) fn locked(lock: &str, package: &str) -> Option<String> {
    let after = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?.1;
    Some(format!("{package} {}", after.split_once('"')?.0))
}

/// A Debian package with its version, if it is installed as one.
pub(crate) fn debian_version(package: &str) -> Option<String> {
    let output = Command::new("dpkg-query").args(["-W", "-f", "${Package} ${Version}", package]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
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
