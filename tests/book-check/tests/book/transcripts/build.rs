//! What the scripts run, built before they do.
//!
//! The invariant: no Cargo in a sandbox, which has no network and no patience, has anything left to build.

use std::collections::BTreeSet;
use std::process::Command;

use super::sandbox::target;
use super::script::{Action, Script};
use crate::golden::root;

/// Builds everything that `scripts` run by Cargo, and returns what Cargo complains of.
pub(crate) fn build(scripts: &[Script]) -> Vec<String> {
    let commands: BTreeSet<_> = scripts.iter().flat_map(commands).flat_map(build_commands).collect();
    // `test` before `build`: what a script runs is what was built last.
    commands.iter().rev().filter_map(|arguments| cargo(arguments).err()).collect()
}

/// Whether `script` runs tests.
pub(crate) fn tests(script: &Script) -> bool {
    commands(script).flat_map(build_commands).any(|arguments| arguments[0] == "test")
}

fn cargo(arguments: &[String]) -> Result<(), String> {
    let mut cargo = Command::new("cargo");
    cargo.args(arguments).current_dir(root()).env("CARGO_TARGET_DIR", target());
    let output = cargo.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    let said = || format!("cargo {}\n{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    output.status.success().then_some(()).ok_or_else(said)
}

fn commands(script: &Script) -> impl Iterator<Item = &str> {
    script.steps.iter().filter_map(|step| match &step.action {
        Action::Run(command) => Some(command.as_str()),
        _ => None,
    })
}

/// How Cargo builds what `command` runs: `time cargo run -p lab -- --help` needs `build -p lab`.
fn build_commands(command: &str) -> impl Iterator<Item = Vec<String>> {
    command.split(['&', '|', ';', '<', '>']).filter_map(|command| {
        let mut words = command.split_whitespace().skip_while(|word| *word != "cargo").skip(1);
        let (verb, no_run) = match words.next()? {
            "run" | "build" => ("build", None),
            "test" => ("test", Some("--no-run")),
            _ => return None,
        };
        let selection = words.take_while(|word| *word != "--");
        Some([verb].into_iter().chain(selection).chain(no_run).map(str::to_owned).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_runs_by_cargo_is_built() {
        for (command, builds) in [
            ("cargo run -p lab -- --listen [::1]:0", &["build -p lab"][..]),
            ("RUST_LOG=debug cargo run -p lab --example x &", &["build -p lab --example x"]),
            ("for i in 1 2; do cargo run -p lab; done", &["build -p lab"]),
            ("cargo test -p lab a_promise -- --exact 2>&1 | tail -3", &["test -p lab a_promise --no-run"]),
            ("cargo build -p a && cargo build -p b", &["build -p a", "build -p b"]),
            ("cargo exercise flag", &[]),
            ("kill -USR2 $(cat /tmp/demo.pid)", &[]),
        ] {
            let commands: Vec<_> = build_commands(command).map(|arguments| arguments.join(" ")).collect();
            assert_eq!(commands, builds, "{command}");
        }
    }
}
