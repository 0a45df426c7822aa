//! In a container, where all processes end with process 1: an upgrade that would end the service is refused, or warned of.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{Generations, await_exit, children, pid_namespace, wait_until};

use crate::server::BINARY;

/// The one child of a process.
fn child(pid: Pid) -> Pid {
    wait_until("the process has one child", || children(pid).len() == 1);
    children(pid).first().copied().unwrap_or_else(|| child(pid))
}

/// Starts `sh -c SCRIPT` as process 1, in which `server` stands for the program. Returns the server and the process
/// that is this many steps below `unshare`.
fn start(script: &str, depth: usize) -> Option<(Generations, Pid)> {
    let mut command = pid_namespace()?;
    command.args(["sh", "-c", &script.replace("server", &format!("{BINARY} --listen 127.0.0.1:0"))]);
    let server = Generations::start(&mut command, 1);
    let process = (0..depth).fold(server.program.pid(), |pid, _| child(pid));
    Some((server, process))
}

#[test]
fn process_1_refuses_an_upgrade_that_would_end_with_it() {
    let Some((mut server, init)) = start("exec server", 1) else { return };
    kill(init, Signal::SIGUSR2).expect("process 1 is there");
    let line = server.program.line("upgrade failed");
    assert!(line.contains("this is process 1") && line.contains("graceful-demo"), "{line}");
    server.assert_answered_by(1);
    kill(init, Signal::SIGTERM).expect("process 1 is there");
    assert_eq!(server.program.wait().code(), 0);
}

#[test]
fn an_upgrade_below_a_process_1_that_may_end_with_the_server_is_warned_of() {
    for (script, depth) in [("server; exit $?", 2), ("sh -c 'server; exit $?'; exit $?", 3)] {
        let Some((mut server, process)) = start(script, depth) else { return };
        kill(process, Signal::SIGUSR2).expect("the server is there");
        let line = server.program.line("process 1 of this container may end");
        assert!(line.contains("WARN") && line.contains(r#"process_1="sh""#), "{line}");
    }
}

/// As `docker exec` does: process 1 does not wait for the server, and did not even start it.
#[test]
fn a_server_that_was_started_from_outside_the_container_is_upgraded_without_a_word() {
    let Some(mut command) = pid_namespace() else { return };
    let mut container = testkit::Program::start(command.args(["sh", "-c", "echo runs; exec tail -f /dev/null"]));
    container.line("runs");
    let init = child(container.pid());
    let mut command = Command::new("nsenter");
    command.args(["--user", "--preserve-credentials", "--pid", "--mount", "--target", &init.to_string()]);
    let mut server = Generations::start(command.args([BINARY, "--listen", "127.0.0.1:0"]), 1);
    kill(child(server.program.pid()), Signal::SIGUSR2).expect("the server is there");
    server.next_generation(1);
    server.assert_answered_by(2);
    assert_eq!(server.program.count("process 1"), 0, "{}", server.program.output());
}

/// As in `docker run -it IMAGE bash`: a shell with job control ignores SIGTSTP, and stays when the server has ended.
#[test]
fn a_server_that_was_started_by_an_interactive_shell_is_upgraded_without_a_word() {
    let Some((mut server, process)) = start("trap '' TSTP; server; exec tail -f /dev/null", 2) else { return };
    kill(process, Signal::SIGUSR2).expect("the server is there");
    server.next_generation(1);
    await_exit(process);
    server.assert_answered_by(2);
    assert_eq!(server.program.count("process 1"), 0, "{}", server.program.output());
}
