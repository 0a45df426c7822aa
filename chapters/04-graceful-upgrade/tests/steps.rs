//! What each step does wrong, how the last one mends it, and what is still wrong with that.
//!
//! No test sleeps to let something happen: it waits for a line, a byte or an end. Where a moment has to be caught, it is
//! held open: by SIGSTOP, or by a pipe that the new program waits for.

use std::fs;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};

use testkit::load::{Client, Plan};
use testkit::{Deployment, End, Generations, Program, ThirdParty, Wire, await_exit, await_refusal, freeze};

/// The pauses of people who think between requests: they provoke the keep-alive race.
const THINK: std::ops::Range<Duration> = Duration::ZERO..Duration::from_millis(20);

fn step(name: &str) -> PathBuf {
    testkit::example(env!("CARGO_BIN_EXE_graceful-upgrade"), name)
}

fn start(name: &str) -> Generations {
    Generations::start(Command::new(step(name)).args(["--listen", "127.0.0.1:0"]), 1)
}

/// A step that runs from a place where its program can be replaced.
fn deploy(name: &str) -> (Deployment, Generations) {
    let deployment = Deployment::of(step(name));
    let server = deployment.start(&[]);
    (deployment, server)
}

/// A client whose request is being answered, for as long as a duration says.
fn waiting(address: &str, duration: &str) -> Wire {
    let mut client = Wire::connect(address);
    // Both come in one packet: with the answer to the first, the second was read, too.
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: lab\r\n\r\nGET /sleep/?duration={duration} HTTP/1.1\r\nHost: lab\r\n\r\n"
    ));
    assert_eq!(client.reply().status, 200);
    client
}

#[test]
fn s1_makes_new_clients_wait_for_the_slowest_of_the_old_ones() {
    let mut server = start("s1_retire_first");
    let mut slow = waiting(server.address(), "500ms");
    server.signal(Signal::SIGUSR2);
    server.program.line("draining");
    let mut fresh = Wire::connect(server.address());
    fresh.get("/");
    assert!(slow.reply().text().ends_with("generation 1\n"), "what was under way is answered");
    drop(slow);
    assert!(fresh.reply().text().ends_with("generation 2\n"));
    server.program.line("generation=2 ");
    let log = server.program.output();
    assert!(
        log.find("stopped") < log.find("generation=2"),
        "the new process was there before the old one ended:\n{log}"
    );
}

#[test]
fn s1_bets_the_service_on_a_program_that_was_never_tried() {
    let (deployment, mut server) = deploy("s1_retire_first");
    // With a good program on disk it even works…
    await_exit(server.upgrade());
    server.assert_answered_by(2);
    // … and with a bad one the service is gone.
    deployment.put_script("exit 7");
    server.signal(Signal::SIGUSR2);
    await_exit(server.serving);
    await_refusal(server.address());
}

#[test]
fn s2_survives_a_program_that_does_not_start() {
    let (deployment, mut server) = deploy("s2_kill_parent");
    fs::remove_file(deployment.server()).unwrap();
    assert!(server.upgrade_in_vain().contains("No such file or directory"));
    deployment.put_script("echo started >&2; exit 7");
    server.signal(Signal::SIGUSR2);
    server.program.line("started");
    server.assert_answered_by(1);
    deployment.put_binary();
    await_exit(server.upgrade());
    server.assert_answered_by(2);
}

/// The new version is a wrapper around the program, and so the program's parent.
#[test]
fn s2_kills_its_wrapper_and_leaves_two_servers() {
    let (deployment, mut server) = deploy("s2_kill_parent");
    let first = server.serving;
    deployment.put_script(&format!("'{}' \"$@\"; echo the wrapper cleans up", step("s2_kill_parent").display()));
    server.upgrade();

    freeze(server.serving);
    server.assert_answered_by(1);
    freeze(first);
    kill(server.serving, Signal::SIGCONT).unwrap();
    server.assert_answered_by(2);
    kill(first, Signal::SIGCONT).unwrap();

    kill(first, Signal::SIGTERM).unwrap();
    kill(server.serving, Signal::SIGTERM).unwrap();
    let log = server.program.wait_all();
    assert!(!log.contains("cleans up"), "the wrapper lived on; then s2 is no wrong turn any more:\n{log}");
}

/// A supervisor keeps the listener, so that it can restart a service that has crashed.
#[test]
fn s2_kills_the_supervisor_that_gave_it_a_listener() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut supervisor = Command::new("bash");
    supervisor.args(["-c", "GENERATION=2 \"$0\" <&$1 & wait; echo the service ended"]);
    supervisor.arg(step("s2_kill_parent")).arg(listener.as_raw_fd().to_string());
    // SAFETY: between fork and exec, only fcntl(2) is called, which is async-signal-safe.
    unsafe {
        supervisor.pre_exec(move || {
            fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty()))?;
            Ok(())
        });
    }
    let mut supervisor = Program::start(&mut supervisor);
    assert_eq!(supervisor.wait(), End::Killed(Signal::SIGTERM), "{}", supervisor.output());
}

#[track_caller]
fn fifty_upgrades_lose_nothing(plan: impl Fn(&str) -> Plan) {
    let mut server = start("s3_ready");
    let plan = plan(server.address());
    let _ = server.assert_upgrades_lose_nothing(plan, 50);
}

#[test]
fn s3_loses_nothing_under_strict_clients_that_keep_connections_alive() {
    fifty_upgrades_lose_nothing(Plan::new);
}

#[test]
fn s3_loses_nothing_under_strict_clients_that_think() {
    fifty_upgrades_lose_nothing(|address| Plan::new(address).think(THINK));
}

#[test]
fn s3_loses_nothing_under_strict_clients_with_a_connection_per_request() {
    fifty_upgrades_lose_nothing(|address| Plan::new(address).per_request().connections(8));
}

#[test]
fn s3_loses_nothing_under_pooled_clients_that_think() {
    fifty_upgrades_lose_nothing(|address| Plan::new(address).client(Client::Pooled).think(THINK));
}

#[test]
fn s3_loses_nothing_under_pooled_clients_with_a_connection_per_request() {
    fifty_upgrades_lose_nothing(|address| Plan::new(address).client(Client::Pooled).per_request().connections(8));
}

#[test]
fn s3_loses_nothing_under_wrk() {
    ThirdParty::Wrk.assert_nothing_lost(&mut start("s3_ready"), 10);
}

#[test]
fn s3_survives_every_program_that_does_not_become_ready() {
    let (deployment, mut server) = deploy("s3_ready");
    fs::remove_file(deployment.server()).unwrap();
    assert!(server.upgrade_in_vain().contains("No such file or directory"));
    for (script, reason) in [
        ("exit 7", "exit status: 7"),
        ("kill -SEGV $$", "signal: 11"),
        // It lives, and cannot say that it is ready any more.
        ("exec sleep 1000 >&-", "signal: 9"),
    ] {
        deployment.put_script(script);
        let line = server.upgrade_in_vain();
        assert!(line.contains(reason), "{script:?} should fail with {reason:?}: {line}");
        server.assert_answered_by(1);
    }
    deployment.put_binary();
    await_exit(server.upgrade());
    server.assert_answered_by(2);
}

#[test]
fn s3_changes_nothing_before_the_successor_is_ready() {
    let (deployment, mut server) = deploy("s3_ready");
    let gate = deployment.put_gate("");
    server.signal(Signal::SIGUSR2);
    server.program.line("started");
    server.assert_answered_by(1);
    server.signal(Signal::SIGUSR2);
    server.program.line("upgrade refused: one is under way");
    server.assert_answered_by(1);
    gate.open();
    let old = server.serving;
    server.next_generation(1);
    await_exit(old);
    server.assert_answered_by(2);
}

#[test]
fn s3_serves_if_its_predecessor_is_killed_while_it_starts() {
    let (deployment, mut server) = deploy("s3_ready");
    server.kill_during_a_start(&deployment);
    server.assert_answered_by(2);
}

#[test]
fn s3_says_close_to_a_client_that_was_idle_when_the_drain_began() {
    let mut server = start("s3_ready");
    let mut idle = Wire::connect(server.address());
    assert!(!idle.ask("/").says_close());
    server.upgrade();
    server.program.line("draining");
    let last = idle.ask("/");
    assert!(last.says_close() && last.text().ends_with("generation 1\n"), "{last:?}");
}

/// What s3 does wrong, and the library does right, begins here.
#[test]
fn s4_a_program_that_hangs_blocks_every_further_upgrade() {
    let (deployment, mut server) = deploy("s3_ready");
    deployment.put_script("echo started >&2; exec tail -f /dev/null");
    server.signal(Signal::SIGUSR2);
    server.program.line("started");
    deployment.put_binary();
    for _ in 0..3 {
        server.signal(Signal::SIGUSR2);
        server.program.line("upgrade refused: one is under way");
    }
    server.assert_answered_by(1);
}

#[test]
fn s4_a_successor_that_dies_in_the_drain_takes_the_service_with_it() {
    let mut server = start("s3_ready");
    let _slow = waiting(server.address(), "1000s");
    server.upgrade();
    server.program.line("draining");
    server.signal(Signal::SIGKILL);
    assert!(server.program.is_running(), "the old process is still there, and could serve");
    await_refusal(server.address());
}

#[test]
fn s4_a_stop_in_the_middle_of_an_upgrade_is_lost() {
    let (deployment, mut server) = deploy("s3_ready");
    let gate = deployment.put_gate("");
    server.signal(Signal::SIGUSR2);
    server.program.line("started");
    server.signal(Signal::SIGTERM);
    server.program.wait();
    gate.open();
    server.next_generation(1);
    server.assert_answered_by(2);
}
