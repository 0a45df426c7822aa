//! As process 1 of a PID namespace, as in a container: process 1 cannot be replaced, so it is a supervisor.

use std::fs;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::load::Plan;
use testkit::{
    Generations, Program, await_exit, await_refusal, freeze, hold, is_stopped, let_go, pid_namespace, thaw, wait_until,
};

use crate::server::{
    BINARY, assert_not_grown, child, command, deployment, size, upgrades, waits_for_its_turn, without_options,
};

/// A command that runs `program` as process 1 of a PID namespace of its own.
fn in_a_namespace(program: &Path, more: &[&str]) -> Option<Command> {
    let mut command = without_options(pid_namespace()?);
    command.arg(program).args(["--listen", "127.0.0.1:0"]).args(more);
    Some(command)
}

/// A server in a namespace.
struct Container {
    /// Its log is that of all processes, with their pids in the namespace.
    server: Generations,
    /// Process 1, as we see it.
    init: Pid,
}

impl Container {
    fn start(more: &[&str]) -> Option<Container> {
        Container::running(Path::new(BINARY), more)
    }

    fn running(program: &Path, more: &[&str]) -> Option<Container> {
        let server = Generations::start(&mut in_a_namespace(program, more)?, 1);
        let init = process_1(&server.program);
        Some(Container { server, init })
    }

    fn signal(&self, signal: Signal) {
        kill(self.init, signal).expect("process 1 is there");
    }

    /// Upgrades by way of process 1.
    fn upgrade(&mut self) {
        self.signal(Signal::SIGUSR2);
        self.server.next_generation(1);
    }

    /// The only generation there is.
    fn generation(&self) -> Pid {
        child(self.init)
    }

    /// Its directory in /proc.
    fn process(&self) -> PathBuf {
        format!("/proc/{}", self.generation()).into()
    }

    /// Waits for the end of all processes, and asserts that process 1 ended with this status.
    #[track_caller]
    fn assert_ends_with(&mut self, status: i32) {
        let end = self.server.program.wait();
        let log = self.server.program.wait_all();
        assert_eq!(end.code(), status, "the exit status of process 1; the log:\n{log}");
        await_refusal(self.server.address());
    }
}

/// Process 1 as we see it.
fn process_1(unshare: &Program) -> Pid {
    child(unshare.pid())
}

#[test]
fn it_survives_upgrades() {
    let Some(mut container) = Container::start(&[]) else { return };
    for generation in 2..=6 {
        container.upgrade();
        container.server.assert_answered_by(generation);
    }
    container.signal(Signal::SIGTERM);
    container.assert_ends_with(0);
}

#[test]
fn upgrades_lose_nothing_there_either() {
    let Some(mut container) = Container::start(&[]) else { return };
    let load = Plan::new(container.server.address()).connections(8).start();
    load.wait_until_warm();
    let last = 1 + upgrades(10);
    let mut early = None;
    for generation in 2..=last {
        let old = container.generation();
        container.upgrade();
        load.wait_for_generation(generation);
        await_exit(old);
        early.get_or_insert_with(|| size(&container.process()));
    }
    assert_not_grown(early.expect("there was an upgrade"), &container.process());
    let tally = load.stop();
    tally.assert_nothing_lost();
    assert_eq!(tally.closed_announced + tally.closed_unannounced, 0, "{tally:#?}");
    container.signal(Signal::SIGTERM);
    container.assert_ends_with(0);
}

#[test]
fn a_failed_upgrade_changes_nothing() {
    let deployment = deployment();
    let Some(mut container) = Container::running(&deployment.server(), &[]) else { return };
    deployment.put_script("exit 7");
    container.signal(Signal::SIGUSR2);
    let line = container.server.program.line("upgrade failed");
    assert!(line.contains("it exited with status 7"), "{line}");
    container.server.assert_answered_by(1);
    container.signal(Signal::SIGTERM);
    container.assert_ends_with(0);
}

#[test]
fn a_new_version_is_found_where_the_first_one_was_started_from() {
    let (old, new) = (deployment(), deployment());
    new.put_script(&format!("echo the new release >&2; exec {BINARY} \"$@\""));
    let current = old.path().join("current");
    symlink(old.path(), &current).expect("our own directory");
    let Some(mut container) = Container::running(&current.join("server"), &[]) else { return };
    let switched = old.path().join("switched");
    symlink(new.path(), &switched).expect("our own directory");
    std::fs::rename(switched, current).expect("our own directory");
    container.upgrade();
    assert_eq!(container.server.program.count("the new release"), 1, "{}", container.server.program.output());
}

#[test]
fn every_signal_that_stops_the_server_is_passed_on() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        let Some(mut container) = Container::start(&[]) else { return };
        container.upgrade();
        let held = hold(container.server.address());
        container.signal(signal);
        // The old one has said so already.
        container.server.program.line("draining");
        container.server.program.line("draining");
        let_go(held);
        container.assert_ends_with(0);
    }
}

#[test]
fn it_says_that_requests_were_cut() {
    let Some(mut container) = Container::start(&["--drain-timeout", "200ms"]) else { return };
    container.upgrade();
    let _held = hold(container.server.address());
    container.signal(Signal::SIGTERM);
    container.assert_ends_with(3);
}

#[test]
fn it_ends_with_the_worst_that_any_generation_had_to_report() {
    let Some(mut container) = Container::start(&["--drain-timeout", "200ms"]) else { return };
    let _held = hold(container.server.address());
    container.upgrade();
    container.server.program.line("1 request was cut");
    container.signal(Signal::SIGTERM);
    container.assert_ends_with(3);
}

#[test]
fn a_second_signal_cuts_all_short() {
    let Some(mut container) = Container::start(&["--drain-timeout", "1h"]) else { return };
    let _old = hold(container.server.address());
    container.upgrade();
    let _new = hold(container.server.address());
    container.signal(Signal::SIGTERM);
    // The old one already drains. It has ended its handover, and now closes what the new one would not take.
    container.server.program.line("draining");
    container.server.program.line("draining");
    // Later than a moment: signals that come together are one wish.
    std::thread::sleep(2 * graceful_shutdown::ONE_WISH);
    container.signal(Signal::SIGTERM);
    container.assert_ends_with(143);
}

/// `pkill -TERM -f server` signals process 1 and every generation.
#[test]
fn one_wish_that_is_delivered_to_all_processes_is_one_drain() {
    let Some(mut container) = Container::start(&["--drain-timeout", "1h"]) else { return };
    let old = hold(container.server.address());
    let first = container.generation();
    container.upgrade();
    let new = hold(container.server.address());
    let second = child(first);
    for process in [second, container.init, first] {
        kill(process, Signal::SIGTERM).expect("all of them are there");
    }
    container.server.program.line("draining");
    container.server.program.line("draining");
    let_go(old);
    let_go(new);
    container.assert_ends_with(0);
}

#[test]
fn it_says_what_the_server_died_of() {
    let Some(mut container) = Container::start(&[]) else { return };
    let first = container.generation();
    container.upgrade();
    await_exit(first);
    kill(container.generation(), Signal::SIGKILL).expect("it serves");
    container.server.program.line("killed");
    container.assert_ends_with(137);
}

#[test]
fn it_says_what_the_first_generation_could_not_start_for() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("any port will do");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let Some(mut command) = in_a_namespace(Path::new(BINARY), &["--listen", &taken]) else { return };
    let mut unshare = Program::start(&mut command);
    assert_eq!(unshare.wait().code(), 1);
    let log = unshare.wait_all();
    assert_eq!(log.matches("error: ").count(), 1, "{log}");
    assert!(log.contains(&format!("cannot listen on {taken}")), "{log}");
}

#[test]
fn it_reaps_orphans() {
    let deployment = deployment();
    let Some(mut container) = Container::running(&deployment.server(), &[]) else { return };
    // The shell in brackets ends at once, and the one that it has started becomes process 1's child.
    let script = format!("(sh -c 'echo an orphan ends >&2; exit 9' &); exec {BINARY} \"$@\"");
    deployment.put_script(&script);
    container.upgrade();
    container.server.program.line("an orphan ends");
    // Unreaped, it would stay among the children for ever, as a zombie.
    container.generation();
    container.signal(Signal::SIGTERM);
    // How an orphan ended concerns no client.
    container.assert_ends_with(0);
}

/// Process 1 with a first generation that is frozen before it listens.
fn frozen_at_the_start() -> Option<(Program, Pid, Pid)> {
    loop {
        let mut unshare = Program::start(&mut in_a_namespace(Path::new(BINARY), &[])?);
        unshare.line("supervising");
        let init = process_1(&unshare);
        let first = child(init);
        freeze(first);
        // On a busy machine it may have been faster than we are.
        if unshare.count("listening") == 0 {
            return Some((unshare, init, first));
        }
    }
}

#[test]
fn a_stop_before_any_generation_serves_is_not_lost() {
    let Some((mut unshare, init, first)) = frozen_at_the_start() else { return };
    kill(init, Signal::SIGTERM).expect("process 1 is there");
    wait_until("the stop was passed on", || testkit::is_in_mask(first, "ShdPnd", Signal::SIGTERM));
    thaw(first);
    let status = unshare.wait().code();
    // As with any program: before it listens to signals, SIGTERM kills it; from then on, it drains.
    assert!([0, 143].contains(&status), "status {status}:\n{}", unshare.output());
    unshare.wait_all();
}

#[test]
fn an_upgrade_before_any_generation_serves_is_refused() {
    let Some((mut unshare, init, first)) = frozen_at_the_start() else { return };
    kill(init, Signal::SIGUSR2).expect("process 1 is there");
    unshare.line("upgrade refused: no process serves yet");
    thaw(first);
    unshare.listening();
    kill(init, Signal::SIGTERM).expect("process 1 is there");
    assert_eq!(unshare.wait().code(), 0);
}

/// A container whose first generation is frozen between its successor's *ready* and its own answer to it; and both.
fn frozen_in_an_upgrade(deployment: &testkit::Deployment) -> Option<(Container, Pid, Pid)> {
    let mut container = Container::running(&deployment.server(), &[])?;
    let gate = deployment.put_gate("");
    container.signal(Signal::SIGUSR2);
    container.server.program.line("started");
    let first = container.generation();
    let second = child(first);
    freeze(first);
    gate.open();
    waits_for_its_turn(second);
    Some((container, first, second))
}

#[test]
fn a_stop_in_the_middle_of_an_upgrade_stops_the_service() {
    for _ in 0..10 {
        let deployment = deployment();
        let Some((mut container, first, _)) = frozen_in_an_upgrade(&deployment) else { return };
        container.signal(Signal::SIGTERM);
        thaw(first);
        container.assert_ends_with(0);
    }
}

#[test]
fn a_stop_before_the_new_generation_knows_that_it_is_its_turn_stops_the_service() {
    let deployment = deployment();
    let Some((mut container, first, second)) = frozen_in_an_upgrade(&deployment) else { return };
    freeze(second);
    thaw(first);
    container.server.program.line("draining");
    container.signal(Signal::SIGTERM);
    // Process 1 knows no other generation yet, and this one ends.
    await_exit(first);
    assert!(is_stopped(second), "it cannot have heard anything yet");
    thaw(second);
    container.assert_ends_with(0);
}

/// The generation that was told dies of something else before it hears of the stop, and its successor takes over.
#[test]
fn a_stop_is_not_lost_with_the_generation_that_was_told() {
    let deployment = deployment();
    let Some((mut container, first, _)) = frozen_in_an_upgrade(&deployment) else { return };
    container.signal(Signal::SIGTERM);
    wait_until("the stop was passed on", || testkit::is_in_mask(first, "ShdPnd", Signal::SIGTERM));
    kill(first, Signal::SIGKILL).expect("it is frozen");
    container.assert_ends_with(137);
}

#[test]
fn a_generation_that_is_lost_in_the_middle_of_an_upgrade_leaves_its_successor_and_process_1() {
    let deployment = deployment();
    let Some((mut container, first, _)) = frozen_in_an_upgrade(&deployment) else { return };
    kill(first, Signal::SIGKILL).expect("it is frozen");
    container.server.next_generation(1);
    container.server.assert_answered_by(2);
    container.signal(Signal::SIGTERM);
    container.assert_ends_with(137);
}

#[test]
fn a_successor_that_is_lost_leaves_its_predecessor_in_charge_of_the_signals() {
    let Some(mut container) = Container::start(&["--drain-timeout", "1h"]) else { return };
    let held = hold(container.server.address());
    let first = container.generation();
    container.upgrade();
    kill(child(first), Signal::SIGKILL).expect("it serves");
    container.server.generation = 0;
    container.server.next_generation(1);
    container.upgrade();
    container.server.assert_answered_by(2);
    let_go(held);
    await_exit(first);
    container.signal(Signal::SIGTERM);
    // Its predecessor has reaped the lost generation, and has made up for it.
    container.assert_ends_with(0);
}

/// The kernel gives a pid away again once its process is reaped.
#[test]
fn a_process_that_has_got_the_pid_of_a_generation_is_sent_no_signal() {
    let Some(mut command) = pid_namespace().map(without_options) else { return };
    let outlived = format!("{BINARY} --supervise --drain-timeout 1h; exec sleep 60");
    let mut server = Generations::start(command.args(["sh", "-c", &outlived]).env("LISTEN", "127.0.0.1:0"), 1);
    let init = process_1(&server.program);
    let supervisor = child(init);
    let first = child(supervisor);
    // Generation 1 stays, and reaps generation 2.
    let held = hold(server.address());
    // What generation 2 says is only read when its pid is another process's.
    freeze(supervisor);
    kill(first, Signal::SIGUSR2).expect("it serves");
    server.next_generation(1);
    let second = child(first);
    let status = fs::read_to_string(format!("/proc/{second}/status")).expect("it serves");
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).expect("proc_pid_status(5)");
    let pid: i32 = pids.split_whitespace().last().and_then(|pid| pid.parse().ok()).expect("its pid in the namespace");
    kill(second, Signal::SIGKILL).expect("it serves");
    server.generation = 0;
    server.next_generation(1);
    // No other process starts any there.
    let script =
        format!("echo {} >/proc/sys/kernel/ns_last_pid; sleep 60 & [ $! = {pid} ] && echo started; wait", pid - 1);
    let mut command = Command::new("nsenter");
    command.args(["--target", &init.to_string(), "--user", "--pid", "--mount", "sh", "-c", &script]);
    let mut stranger = Program::start(&mut command);
    stranger.line("started");
    let sleep = child(child(stranger.pid()));
    freeze(sleep);
    thaw(supervisor);
    let_go(held);
    kill(supervisor, Signal::SIGTERM).expect("the supervisor is there");
    await_exit(supervisor);
    assert!(!testkit::is_in_mask(sleep, "ShdPnd", Signal::SIGTERM), "it was taken for generation 2");
}

#[test]
fn a_stop_is_not_lost_in_a_flood_of_other_signals() {
    for _ in 0..5 {
        let Some(mut container) = Container::start(&[]) else { return };
        let init = container.init;
        let flood = || (0..2_000).for_each(|_| _ = kill(init, Signal::SIGUSR2));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(flood);
            }
            container.signal(Signal::SIGTERM);
        });
        container.assert_ends_with(0);
    }
}

/// Sockets that were passed to process 1 are served by the generations: systemd gives all sockets of a unit one name.
#[test]
fn sockets_that_process_1_inherits_are_passed_through() {
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("any port will do"));
    let addresses = sockets.each_ref().map(|socket| socket.local_addr().expect("it is bound").to_string());
    let program = format!("LISTEN_FDS=2 LISTEN_FDNAMES=web:web LISTEN_PID=$$ exec {BINARY} \"$@\"");
    let listen = ["--listen", &addresses[1], "--listen", &addresses[0]];
    let Some(mut command) = pid_namespace().map(without_options) else { return };
    command.args(["sh", "-c", &program, "sh"]).args(listen);
    let numbers = sockets.each_ref().map(AsRawFd::as_raw_fd);
    // SAFETY: between fork and exec, only dup2(2) is called, which is async-signal-safe. Both are above their targets, or the
    // first dup2 could close the second one; what they replace in the child has CLOEXEC and is not needed there.
    unsafe {
        command.pre_exec(move || {
            let high = numbers.map(|number| libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 5));
            (3..).zip(high).for_each(|(target, number)| _ = libc::dup2(number, target));
            Ok(())
        });
    }
    let mut server = Generations::start(&mut command, 2);
    assert_eq!(server.addresses, [addresses[1].as_str(), addresses[0].as_str()]);
    drop(sockets);
    let init = process_1(&server.program);
    for generation in 2..=3 {
        kill(init, Signal::SIGUSR2).expect("process 1 is there");
        server.next_generation(2);
        for address in &server.addresses {
            let answer = testkit::Wire::connect(address).ask("/").text();
            assert!(answer.ends_with(&format!("generation {generation}\n")), "{answer}");
        }
    }
    kill(init, Signal::SIGTERM).expect("process 1 is there");
    assert_eq!(server.program.wait().code(), 0);
}

/// By way of the supervisor, which stays.
fn upgrade_twice(server: &mut Generations, supervisor: Pid) {
    for generation in 2..=3 {
        let old = child(supervisor);
        kill(supervisor, Signal::SIGUSR2).expect("the supervisor is there");
        server.next_generation(1);
        await_exit(old);
        server.assert_answered_by(generation);
    }
}

/// An init that ends with its child, and everything ends with it.
fn under_another_init(init: &[&str]) {
    let Some(mut command) = pid_namespace().map(without_options) else { return };
    let mut server = Generations::start(command.args(init).env("LISTEN", "127.0.0.1:0"), 1);
    let supervisor = child(process_1(&server.program));
    upgrade_twice(&mut server, supervisor);
    let held = hold(server.address());
    kill(supervisor, Signal::SIGTERM).expect("the supervisor is there");
    server.program.line("draining");
    let_go(held);
    assert_eq!(server.program.wait().code(), 0);
    await_refusal(server.address());
}

#[test]
fn under_tini_it_survives_upgrades_as_well() {
    if testkit::require_program("tini", "tini").is_some() {
        under_another_init(&["tini", "--", BINARY]);
    }
}

#[test]
fn under_a_shell_it_survives_upgrades_as_well() {
    under_another_init(&["sh", "-c", &format!("{BINARY}; exit $?")]);
}

/// A server below two shells, the outer one process 1. Returns what the outer one started as well.
fn below_further_wrappers(options: &str) -> Option<(Generations, Pid)> {
    let mut command = pid_namespace().map(without_options)?;
    let wrapped = format!("sh -c '{BINARY} {options}; exit $?'; exit $?");
    let server = Generations::start(command.args(["sh", "-c", &wrapped]).env("LISTEN", "127.0.0.1:0"), 1);
    let inner = child(process_1(&server.program));
    Some((server, inner))
}

/// The program cannot tell what such wrappers are: the shell of a person, a test, a supervisor.
#[test]
fn below_further_wrappers_an_upgrade_is_warned_of() {
    let Some((mut server, shell)) = below_further_wrappers("") else { return };
    assert_eq!(server.program.count("supervising"), 0);
    kill(child(shell), Signal::SIGUSR2).expect("it serves");
    let line = server.program.line("process 1 of this container may end with this process");
    assert!(line.contains("--supervise"), "it should say how to mend it: {line}");
}

/// Upgrades by way of the supervisor, which stays; then the last generation is killed, and the supervisor ends as it did.
fn survives_upgrades(server: &mut Generations, supervisor: Pid) {
    // It may say so after the first generation has said that it listens.
    server.program.line("supervising");
    upgrade_twice(server, supervisor);
    assert_eq!(server.program.count("supervising"), 1, "no generation supervises another one");
    kill(child(supervisor), Signal::SIGKILL).expect("it serves");
    let line = server.program.line("a generation was killed");
    assert!(line.contains("status=137"), "{line}");
    assert_eq!(server.program.wait().code(), 137, "{}", server.program.output());
    await_refusal(server.address());
}

#[test]
fn below_further_wrappers_it_survives_upgrades_if_a_supervisor_is_asked_for() {
    let Some((mut server, shell)) = below_further_wrappers("--supervise") else { return };
    survives_upgrades(&mut server, child(shell));
}

/// In a container without a PID namespace of its own (`docker run --pid=host`), and under a supervisor that watches one process.
#[test]
fn a_supervisor_can_be_asked_for_anywhere() {
    let with_a_word = command(BINARY, &["--listen", "127.0.0.1:0", "--supervise"]);
    let mut with_a_variable = command(BINARY, &["--listen", "127.0.0.1:0"]);
    with_a_variable.env("SUPERVISE", "yes");
    for mut command in [with_a_word, with_a_variable] {
        let mut server = Generations::start(&mut command, 1);
        let supervisor = server.program.pid();
        survives_upgrades(&mut server, supervisor);
    }
}

/// The first process of a container that shares its PID namespace, as with `shareProcessNamespace: true`, where process 1 is a
/// pause container, and `docker run --pid=container:…`. The runtime starts it in there from outside, and kills what is left
/// of the container when it has ended. Returns that process 1, too.
fn in_a_shared_namespace(program: &[&str]) -> Option<(Program, Generations)> {
    let mut pause = Program::start(pid_namespace()?.args(["sh", "-c", "echo pauses; exec tail -f /dev/null"]));
    pause.line("pauses");
    let mut command = without_options(Command::new("nsenter"));
    let process_1 = process_1(&pause).to_string();
    command.args(["--user", "--preserve-credentials", "--pid", "--mount", "--target", &process_1]).args(program);
    let server = Generations::start(command.env("LISTEN", "127.0.0.1:0"), 1);
    Some((pause, server))
}

#[test]
fn as_the_first_process_in_a_shared_namespace_it_survives_upgrades() {
    let Some((_pause, mut server)) = in_a_shared_namespace(&[BINARY]) else { return };
    let supervisor = child(server.program.pid());
    survives_upgrades(&mut server, supervisor);
}

#[test]
fn under_an_init_in_a_shared_namespace_it_survives_upgrades() {
    let script = format!("{BINARY}; exit $?");
    let Some((_pause, mut server)) = in_a_shared_namespace(&["sh", "-c", &script]) else { return };
    let supervisor = child(child(server.program.pid()));
    survives_upgrades(&mut server, supervisor);
}

#[test]
fn any_other_process_is_the_server_itself() {
    let server = crate::server::start(&[]);
    assert_eq!(server.serving, server.program.pid(), "only process 1 needs a supervisor");
    assert_eq!(server.program.count("supervising"), 0);
}
