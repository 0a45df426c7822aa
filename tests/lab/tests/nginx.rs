//! nginx starts no new binary while the process that started it lives.

use std::fs;
use std::process::Command;

use lab::peers::Port;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use testkit::{Program, await_exit, require_program, wait_until};

const CONFIGURATION: &str = include_str!("../peers/nginx/nginx.conf");
const STARTED: &str = "start worker process ";
const IGNORED: &str = "the changing binary signal is ignored";

fn master(directory: &TempDir) -> Option<Pid> {
    let text = fs::read_to_string(directory.path().join("nginx.pid")).ok()?;
    text.trim().parse().ok().map(Pid::from_raw)
}

#[test]
fn nginx_ignores_the_signal_for_a_new_binary_until_the_process_that_started_it_is_gone() {
    let Some(program) = require_program("nginx", "nginx-light") else { return };
    let (port, directory) = (Port::any().expect("a port is free"), tempfile::tempdir().expect("there is room in /tmp"));
    let configuration = directory.path().join("nginx.conf");
    fs::write(&configuration, CONFIGURATION.replace("@ADDRESS@", port.address())).expect("it can be written");
    // In the foreground, as under a supervisor: a shell stays its parent.
    let mut shell = Command::new("sh");
    shell.args(["-c", r#""$0" "$@" & wait"#]).arg(program).args(["-e", "stderr", "-c"]).arg(configuration);
    let mut nginx = Program::start(shell.arg("-p").arg(directory.path()));
    nginx.line(STARTED);
    let first = master(&directory).expect("it was written before the first worker started");
    kill(first, Signal::SIGUSR2).expect("it serves");
    nginx.line(IGNORED);

    kill(nginx.pid(), Signal::SIGTERM).expect("the shell waits");
    nginx.wait();
    kill(first, Signal::SIGUSR2).expect("it serves");
    nginx.line(STARTED);
    wait_until("a new master", || master(&directory).is_some_and(|pid| pid != first));
    let second = master(&directory).expect("it is there");
    kill(second, Signal::SIGUSR2).expect("it serves");
    nginx.line(IGNORED);

    kill(first, Signal::SIGQUIT).expect("it serves");
    await_exit(first);
    kill(second, Signal::SIGUSR2).expect("it serves");
    nginx.line(STARTED);
}
