//! What crosses `exec`, counted: the named descriptors and nothing else; the mask, what is ignored, the directory, the
//! limits.

mod common;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::Command;

use common::{SERVER, show};
use inherited_fds::{Child, PassedFds};
use nix::fcntl::OFlag;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{Pid, pipe2};
use testkit::{Census, Program, field};

fn pipe() -> (OwnedFd, OwnedFd) {
    pipe2(OFlag::O_CLOEXEC).expect("there are descriptors left")
}

/// Takes the census of a `show` that got a listener, the report and the hold, once it has said what it got.
fn census_of_child(listener: &TcpListener) -> (Child, Census) {
    let ((read, report), (hold, release)) = (pipe(), pipe());
    let mut passed = PassedFds::new();
    let _channel = passed.add_channel("channel").expect("the name is free");
    passed.add("web", listener).expect("the name is free");
    passed.add("report", &report).expect("the name is free");
    passed.add("hold", &hold).expect("the name is free");
    let mut child = passed.spawn(&show(), &[]).expect("it starts");
    drop(report);
    let mut lines = BufReader::new(File::from(read)).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "that is all"), "the child ended without a report");
    let census = Census::of(child.pid());
    drop(release);
    child.wait().expect("it is ours to reap");
    (child, census)
}

#[test]
fn nothing_crosses_but_the_standard_streams_and_what_was_named() {
    // All of these stay here.
    let (_pipe, _file) = (pipe(), File::open("/dev/null").expect("a file"));
    let _other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    // The tests may have been started with descriptors without CLOEXEC. They do not count.
    let before = Census::of(Pid::this());
    let leaked = |target: &str| before.descriptors.values().any(|it| !it.cloexec && it.target == target);

    let (_, child) = census_of_child(&listener);
    let ours = child.descriptors.iter().filter(|(_, descriptor)| !leaked(&descriptor.target));
    let numbers: BTreeSet<i32> = ours.map(|(number, _)| *number).collect();
    assert_eq!(numbers, BTreeSet::from([3, 4, 5, 6]), "the child holds {:?}", child.descriptors);
    assert_eq!(
        child.descriptors[&4].target,
        before.descriptors[&listener.as_raw_fd()].target,
        "4 should be the listener"
    );
    assert!((3..=6).all(|number| child.descriptors[&number].cloexec), "what was received is CLOEXEC again");
}

#[test]
fn the_mask_is_inherited_and_what_is_ignored_stays_ignored() {
    let blocked = SigSet::from(Signal::SIGUSR2);
    blocked.thread_block().expect("any signal can be blocked");
    // SAFETY: SIG_IGN is no handler that could be unsafe (signal(2)).
    unsafe { signal(Signal::SIGTTOU, SigHandler::SigIgn) }.expect("SIGTTOU can be ignored");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let (_, child) = census_of_child(&listener);
    assert_eq!(child.blocked, BTreeSet::from([Signal::SIGUSR2 as u32]), "exactly this thread's mask crosses");
    assert!(child.ignored.contains(&(Signal::SIGTTOU as u32)), "ignored signals stay ignored: {:?}", child.ignored);
    assert_eq!(SigSet::thread_get_mask(), Ok(blocked), "the parent's own mask is as it was");
}

#[test]
fn directory_and_limits_are_inherited_and_the_environment_says_what_is_where() {
    let ours = Census::of(Pid::this());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let (process, child) = census_of_child(&listener);
    assert_eq!((&child.cwd, &child.limits), (&ours.cwd, &ours.limits));
    let listen = |name: &str| child.environment.get(name).map(String::as_str);
    assert_eq!(listen("LISTEN_FDS"), Some("4"));
    assert_eq!(listen("LISTEN_FDNAMES"), Some("channel:web:report:hold"));
    assert_eq!(listen("LISTEN_PID"), None, "no process knew the pid of {} before exec", process.pid());
    let mut rest = child.environment.clone();
    rest.retain(|name, _| !name.starts_with("LISTEN_"));
    assert_eq!(rest, ours.environment, "all other variables cross as they are");
}

/// What `program` writes into a pipe that it gets as descriptor 3.
fn report_of(program: &Path, args: &[&str]) -> String {
    let (read, report) = pipe();
    let mut passed = PassedFds::new();
    passed.add("report", &report).expect("the name is free");
    let _channel = passed.add_channel("channel").expect("the name is free");
    let args: Vec<_> = args.iter().map(Into::into).collect();
    let mut child = passed.spawn(program, &args).expect("it starts");
    drop(report);
    let mut text = String::new();
    File::from(read).read_to_string(&mut text).expect("it is text");
    child.wait().expect("it is ours to reap");
    text
}

#[test]
fn a_program_that_is_not_ours_finds_sigpipe_as_it_expects_it() {
    let status = report_of(Path::new("/bin/sh"), &["-c", "cat /proc/$$/status >&3"]);
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("proc(5) has it");
    let ignored = u64::from_str_radix(ignored.trim(), 16).expect("a hexadecimal mask");
    assert_eq!(ignored >> (Signal::SIGPIPE as u32 - 1) & 1, 0, "Rust ignores SIGPIPE; a child should not");
}

#[test]
fn a_grandchild_gets_neither_the_variables_nor_the_descriptors() {
    let environment = report_of(&show(), &["env"]);
    assert!(environment.contains("PATH="), "`env` should have run:\n{environment}");
    assert!(!environment.contains("LISTEN_"), "the child should have removed them:\n{environment}");

    let found = report_of(&show(), &["sh", "-c", "test -e /proc/$$/fd/3 && echo leaked"]);
    assert_eq!(found, "authenticated by a channel\nthat is all\n", "descriptor 3 should be CLOEXEC again");
}

#[test]
fn what_was_open_without_cloexec_crosses_whatever_its_number() {
    // A shell gives its lock any number (flock(1)): one that the protocol needs, one beside it, one far away.
    let dir = tempfile::tempdir().expect("a temporary directory");
    let setup = "for fd in 3 4 5 9 200; do eval \"exec $fd>\\\"$DIR/$fd\\\"\"; done; exec \"$0\" \"$@\"";
    let mut shell = Command::new("bash");
    shell.args(["-c", setup]).arg(SERVER).args(["--listen", "127.0.0.1:0"]).env("DIR", dir.path());
    let mut program = Program::start(&mut shell);
    let child = field(&program.line("listeners passed on"), "child").expect("the line names the child").to_owned();
    program.listening();
    let census = Census::of(Pid::from_raw(child.parse().expect("a pid is a number")));
    for name in ["3", "4", "5", "9", "200"] {
        let path = dir.path().join(name).display().to_string();
        assert!(
            census.targets(&path).any(|(_, descriptor)| descriptor.target == path),
            "{path} should be open in the child, or its lock is lost: {:?}",
            census.descriptors
        );
    }
    let kept =
        |number: i32| census.descriptors[&number].target == dir.path().join(number.to_string()).display().to_string();
    assert!([5, 9, 200].into_iter().all(kept), "what was not in the way keeps its number: {:?}", census.descriptors);
}
