//! What `lab fleet` says of a roll, and that it leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use escargot::CargoBuild;
use lab::fleet::machines;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{End, Program, await_exit, descendants, require, require_program, wait_until};

/// The machine's own: nothing of a fleet may be here.
#[derive(Debug, PartialEq, Eq)]
struct Outside {
    interfaces: Vec<PathBuf>,
    namespaces: Vec<PathBuf>,
    mounts: String,
}

impl Outside {
    fn now() -> Outside {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("every process has mounts");
        Outside { interfaces: names("/sys/class/net"), namespaces: names("/run/netns"), mounts }
    }
}

fn names(directory: impl AsRef<Path>) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.expect("the directory can be read").path()).collect();
    names.sort();
    names
}

/// A run of `lab fleet`, and where it writes.
struct Fleet {
    lab: Program,
    directory: TempDir,
}

impl Fleet {
    /// `None`, aloud, where a fleet cannot be. Its programs have the profile that the other tests run them in.
    fn start(balancer: &str, package: &str, ways: &[&str], repeats: &str) -> Option<Fleet> {
        require_program(balancer, package)?;
        let machines = machines::probe();
        if !require(machines.is_ok(), &machines.err().map(|error| error.to_string()).unwrap_or_default()) {
            return None;
        }
        let directory = tempfile::tempdir().expect("there is room in /tmp");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.args(["fleet", "--repeats", repeats, "--behind", balancer]);
        command.args(ways.iter().flat_map(|way| ["--only", way]));
        command.arg("--server").arg(built("graceful-demo")).arg("--command").arg(built("graceful"));
        command.arg("--json").arg(directory.path().join("fleet.json")).env("TMPDIR", directory.path());
        Some(Fleet { lab: Program::start(&mut command), directory })
    }

    /// What became of each way.
    fn outcomes(mut self) -> Vec<Value> {
        assert_eq!(self.lab.wait(), End::Exited(0), "{}", self.lab.output());
        let report = fs::read(self.directory.path().join("fleet.json")).expect("it was asked for");
        let report: Value = serde_json::from_slice(&report).expect("it is JSON");
        assert_eq!(names(&self.directory), [self.directory.path().join("fleet.json")], "files that were left behind");
        assert_eq!(report["failed"].as_array().map(Vec::len), Some(0), "{report:#}");
        report["outcomes"].as_array().expect("there are outcomes").clone()
    }
}

fn built(program: &str) -> PathBuf {
    let build = CargoBuild::new().manifest_path("../../Cargo.toml").package("graceful").bin(program);
    let build = build.run().unwrap_or_else(|error| panic!("cannot build {program}: {error}"));
    build.path().to_owned()
}

fn assert_figure(outcome: &Value, figure: &str, expected: f64) {
    let is = outcome["figures"][figure].as_f64().expect("it is a number");
    assert!((is - expected).abs() < f64::EPSILON, "{figure} should be {expected}: {outcome:#}");
}

/// A roll in place with a good version, and one with a broken version.
fn assert_rolls_in_place(balancer: &str, package: &str) {
    let before = Outside::now();
    let Some(fleet) = Fleet::start(balancer, package, &["in-place", "broken"], "1") else { return };
    let outcomes = fleet.outcomes();
    let [in_place, broken] = outcomes.as_slice() else { panic!("there are two ways: {outcomes:#?}") };
    for outcome in [in_place, broken] {
        assert!(outcome["figures"]["requests"].as_f64() > Some(1000.0), "hardly any load: {outcome:#}");
        for figure in ["lost", "opened", "sent_again", "closed"] {
            assert_figure(outcome, figure, 0.0);
        }
    }
    assert_figure(in_place, "done", 3.0);
    assert!(in_place["stopped"].is_null(), "the command should not have failed: {in_place:#}");
    assert_figure(broken, "done", 0.0);
    let reason = broken["stopped"].as_str().unwrap_or_default();
    assert!(reason.contains("failed"), "the command should have said why the upgrade failed: {broken:#}");
    assert_eq!(before, Outside::now(), "something was left behind");
}

#[test]
fn a_roll_in_place_costs_haproxy_no_request_and_no_connection_and_a_broken_version_stops_it() {
    assert_rolls_in_place("haproxy", "haproxy");
}

#[test]
fn a_roll_in_place_costs_nginx_no_request_and_no_connection_and_a_broken_version_stops_it() {
    assert_rolls_in_place("nginx", "nginx-light");
}

/// Neither of these signals lets the lab clean up.
#[test]
fn a_fleet_ends_with_the_lab_however_that_ends() {
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let before = Outside::now();
        let Some(mut fleet) = Fleet::start("haproxy", "haproxy", &["in-place"], "1000000") else { return };
        fleet.lab.line("run 2 of");
        let mut started = Vec::new();
        wait_until("unshare, a shell, the lab, three instances and a balancer run", || {
            started = descendants(fleet.lab.pid());
            started.len() == 7
        });
        fleet.lab.signal(signal);
        assert_eq!(fleet.lab.wait(), End::Killed(signal), "{}", fleet.lab.output());
        for pid in started {
            await_exit(pid);
            assert_eq!(kill(pid, None), Err(Errno::ESRCH), "pid {pid} outlives the lab");
        }
        assert_eq!(names(&fleet.directory), [""; 0].map(PathBuf::from), "files that were left behind");
        assert_eq!(before, Outside::now(), "something was left behind");
    }
}

#[test]
fn a_way_or_a_balancer_that_there_is_not_gets_status_1_and_the_names_of_those_that_there_are() {
    for (option, names) in [
        ("--only", "there is no way called \"magic\"; there are in-place, stop-start, drained, broken"),
        ("--behind", "there is no balancer called \"magic\"; there are haproxy, nginx"),
    ] {
        let mut lab = Program::start(Command::new(env!("CARGO_BIN_EXE_lab")).args(["fleet", option, "magic"]));
        assert_eq!(lab.wait(), End::Exited(1));
        let output = lab.wait_all();
        assert!(output.contains(names), "{names:?} should be in\n{output}");
    }
}
