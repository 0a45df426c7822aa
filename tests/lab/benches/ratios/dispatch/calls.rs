//! How many system calls a signal costs the process that gets it.
//!
//! The invariant: two runs of the same program that differ in nothing but the number of signals; so what the program
//! does before and after is in neither count. And its own report, one write(2) a signal, is taken off.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::receiver::Receiver;

/// Signals in the shorter and in the longer run.
const FEW: usize = 10;
const MANY: usize = 60;

/// The pause after each, so that every thread is asleep again, even one that strace(1) stops at each call.
const PAUSE: Duration = Duration::from_millis(3);

/// Why there is no count, if there is none.
pub(crate) fn cannot_count() -> Option<String> {
    let strace = Command::new("strace").args(["-c", "-o/dev/null", "true"]).stderr(Stdio::null()).status();
    match strace {
        Ok(status) if status.success() => None,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Some("dispatch, system calls: install strace with `apt-get install strace`".to_owned())
        }
        _ => Some("dispatch, system calls: strace is not allowed to trace here".to_owned()),
    }
}

/// System calls for each signal, of all threads, in a program that `command` starts for a number of signals.
pub(crate) fn per_signal(command: &dyn Fn(usize) -> Command) -> u64 {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    let summary = directory.path().join("summary");
    let [few, many] = [FEW, MANY].map(|count| calls(&command(count), count, &summary));
    let (signals, calls) = ((MANY - FEW) as u64, many.saturating_sub(few));
    // The nearest whole number: a runtime may do something of its own now and then.
    ((calls + signals / 2) / signals).saturating_sub(1)
}

fn calls(command: &Command, count: usize, summary: &Path) -> u64 {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(summary).arg(command.get_program());
    let mut receiver = Receiver::start(strace.args(command.get_args()));
    for _ in 0..count {
        sleep(PAUSE);
        receiver.signal();
    }
    receiver.wait();
    let text = fs::read_to_string(summary).expect("strace writes its summary");
    let total = text.lines().find_map(|line| line.trim().strip_suffix(" total")?.trim().parse().ok());
    total.unwrap_or_else(|| panic!("no total in the summary of strace:\n{text}"))
}
