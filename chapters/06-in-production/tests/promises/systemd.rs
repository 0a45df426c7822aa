//! Under a real systemd, with the units of `deploy/`: `systemctl` tells the truth, and no client notices.

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::load::Plan;
use testkit::{
    Answerer, Deployment, Generations, Systemd, TIMEOUT, Unanswered, Wire, await_exit, await_refusal, example, field,
    hold, let_go, probe, wait_until,
};

use crate::server::{BINARY, assert_not_grown, command, deployment, size, upgrades};

const SERVICE: &str = "graceful-demo.service";
const SOCKET: &str = "graceful-demo.socket";

/// Where the units listen, in a network of their own.
const ADDRESS: &str = "127.0.0.1:48567";

/// A systemd with the units of `deploy/`.
struct Deployed(Systemd);

impl Deployed {
    /// With these settings for the service.
    fn with(settings: &str) -> Option<Deployed> {
        let settings = format!("[Service]\nStandardError=file:/run/log\nEnvironment=RUST_LOG=info\n{settings}\n");
        let units = [
            (SERVICE, include_str!("../../deploy/graceful-demo.service")),
            (SOCKET, include_str!("../../deploy/graceful-demo.socket")),
            ("graceful-demo.service.d/test.conf", settings.as_str()),
        ];
        let deployed = Deployed(Systemd::start(&units, &[BINARY, env!("CARGO_BIN_EXE_graceful")])?);
        if !deployed.reloads_by_signal() {
            let path = deployed.0.path("/run/units/graceful-demo.service.d/reload.conf");
            fs::write(path, include_str!("../../deploy/reload-by-command.conf")).expect("it is our sandbox");
            deployed.succeeds(&["daemon-reload"]);
        }
        Some(deployed)
    }

    /// The same, started.
    fn started(settings: &str) -> Option<Deployed> {
        let deployed = Deployed::with(settings)?;
        deployed.succeeds(&["start", SERVICE]);
        Some(deployed)
    }

    #[track_caller]
    fn succeeds(&self, words: &[&str]) {
        let output = self.0.ctl(words);
        assert!(output.status.success(), "systemctl {words:?}: {output:?}\n{}", self.0.program.output());
    }

    /// Whether it knows `Type=notify-reload`.
    fn reloads_by_signal(&self) -> bool {
        self.0.version() >= 253
    }

    fn reload(&self) -> Output {
        self.0.ctl(&["reload", SERVICE])
    }

    /// Reloads, and waits until the old process has ended: it would come back if the new one died.
    #[track_caller]
    fn reload_for_good(&mut self) {
        assert!(self.reload().status.success());
        self.0.program.line("an older generation has ended");
    }

    fn show(&self, property: &str) -> String {
        self.0.show(SERVICE, property)
    }

    /// Puts a program in place that does this instead.
    fn put_script(&self, script: &str) {
        let text = self.0.path("/run/script");
        fs::write(&text, format!("#!/bin/sh\n{script}\n")).expect("it is our sandbox");
        self.0.put("graceful-demo", &text);
    }

    /// Asserts that this generation answers, is the main process of a service that runs, and that the status begins like this.
    #[track_caller]
    fn assert_serves(&self, generation: u64, status: &str) {
        let answer = ask();
        assert_eq!(answer.generation, Some(generation), "{}", self.0.program.output());
        assert_eq!(self.show("MainPID"), answer.pid.to_string());
        let actual = self.show("StatusText");
        assert!(actual.starts_with(status), "{status:?} is not how this begins: {actual:?}");
        assert_eq!(self.show("SubState"), "running");
    }

    /// The main process's directory in the /proc in there.
    fn process(&self) -> PathBuf {
        self.0.path(&format!("/proc/{}", self.show("MainPID")))
    }

    /// How many processes have ended, and were not reaped.
    fn zombies(&self) -> usize {
        let processes = fs::read_dir(self.0.path("/proc")).expect("systemd is there").flatten();
        let states = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
        states.filter(|state| state.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))).count()
    }

    /// The files of the service.
    fn files(&self) -> Vec<OsString> {
        let files = fs::read_dir(self.0.path("/run/graceful-demo")).expect("systemd has made it").flatten();
        files.map(|file| file.file_name()).collect()
    }

    /// How many requests the main process has begun to answer.
    fn requests(&self) -> u64 {
        let status = self.0.run(&["graceful", "--control", "/run/graceful-demo/control", "status", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("it is JSON");
        status["requests"].as_u64().expect("it is a number")
    }

    #[track_caller]
    fn kill(&self, signal: &str) {
        self.succeeds(&["kill", "--kill-whom=main", "-s", signal, SERVICE]);
    }

    /// Does this while clients connect all the time, until another process answers them than did before. Not one is refused.
    fn no_client_is_refused_while(&self, happens: impl FnOnce()) {
        let (before, warm, deadline) = (ask(), AtomicBool::new(false), Instant::now() + TIMEOUT);
        let answer = thread::scope(|scope| {
            let client = scope.spawn(|| {
                while Instant::now() < deadline {
                    match probe(address()) {
                        Ok(answer) if answer.pid != before.pid => return Ok(answer),
                        // It died with the request: cut, and not refused.
                        Ok(_) | Err(Unanswered::Cut(_)) => warm.store(true, SeqCst),
                        Err(refused) => return Err(refused),
                    }
                }
                Ok(before)
            });
            wait_until("the client was answered", || warm.load(SeqCst) || client.is_finished());
            happens();
            client.join().expect("it does not panic")
        });
        assert!(answer.is_ok_and(|answer| answer.pid != before.pid), "{}", self.0.program.output());
    }
}

fn address() -> SocketAddr {
    ADDRESS.parse().expect("it is one")
}

/// Asks once. What is refused is a failure.
#[track_caller]
fn ask() -> Answerer {
    probe(address()).expect("the service should answer at once")
}

#[test]
fn a_start_and_a_reload_return_when_the_process_serves_that_systemd_then_knows() {
    let Some(deployed) = Deployed::started("") else { return };
    deployed.assert_serves(1, "generation 1 serves");
    for generation in 2..=3 {
        let output = deployed.reload();
        assert!(output.status.success(), "{output:?}");
        deployed.assert_serves(generation, &format!("generation {generation} serves"));
    }
}

#[test]
fn a_hangup_of_the_main_process_is_an_upgrade() {
    let Some(mut deployed) = Deployed::started("Environment=PROBATION=0s") else { return };
    for generation in 2..=3 {
        deployed.kill("HUP");
        deployed.0.program.line(&format!("generation={generation} "));
        deployed.assert_serves(generation, &format!("generation {generation} serves"));
    }
}

#[test]
fn a_reload_that_fails_returns_and_the_status_says_why() {
    let Some(deployed) = Deployed::started("Environment=READY_TIMEOUT=300ms") else { return };
    for (program, reason) in [("exit 7", "it exited with status 7"), ("sleep 60", "it was not ready within 300ms")] {
        deployed.put_script(program);
        // The command has an exit status to say it with, the signal has none.
        assert_eq!(deployed.reload().status.success(), deployed.reloads_by_signal());
        deployed.assert_serves(1, &format!("generation 1 serves on: the upgrade failed: {reason}"));
    }
    deployed.0.put("graceful-demo", Path::new(BINARY));
    assert!(deployed.reload().status.success());
    deployed.assert_serves(2, "generation 2 serves");
}

#[test]
fn a_new_version_that_dies_on_probation_leaves_the_old_one_as_the_main_process() {
    let Some(mut deployed) = Deployed::started("Environment=PROBATION=1h") else { return };
    assert!(deployed.reload().status.success());
    deployed.assert_serves(2, "generation 2 serves");
    deployed.kill("KILL");
    deployed.0.program.line("upgrade failed");
    wait_until("the old process serves again", || deployed.show("StatusText").starts_with("generation 1"));
    deployed.assert_serves(1, "generation 1 serves on: the upgrade failed: it was killed");
    assert_eq!(deployed.show("NRestarts"), "0");
    assert!(deployed.reload().status.success());
    deployed.assert_serves(2, "generation 2 serves");
}

#[test]
fn a_reload_that_is_refused_returns_and_the_status_says_why() {
    let Some(mut deployed) = Deployed::started("Environment=PROBATION=0s DRAIN_TIMEOUT=1h") else { return };
    let mut held = Vec::new();
    for _ in 1..5 {
        held.push(hold(ADDRESS));
        assert!(deployed.reload().status.success());
    }
    deployed.kill("HUP");
    deployed.0.program.line("upgrade refused: too many older generations still drain");
    wait_until("systemd has heard of it", || deployed.show("StatusText").contains("refused"));
    deployed.assert_serves(5, "generation 5 serves on: upgrade refused: too many older generations");
    for held in held {
        let_go(held);
    }
}

#[test]
fn a_crash_and_the_restart_after_it_refuse_no_client() {
    let Some(mut deployed) = Deployed::started("Environment=PROBATION=0s") else { return };
    deployed.no_client_is_refused_while(|| deployed.kill("KILL"));
    deployed.assert_serves(1, "generation 1 serves");
    deployed.reload_for_good();
    deployed.no_client_is_refused_while(|| deployed.kill("KILL"));
    deployed.assert_serves(1, "generation 1 serves");
    assert_eq!(deployed.show("NRestarts"), "2");
    assert_eq!(deployed.show("NFileDescriptorStore"), "2", "the listener and the control socket, once each");
    assert!(deployed.reload().status.success(), "the control socket should be there, too");
    deployed.succeeds(&["stop", SERVICE]);
    assert!(matches!(probe(address()), Err(Unanswered::Refused(_))), "systemd should have closed its copies");
}

/// The example `parts`, as a service.
const PARTS: &str = "[Service]
Type=notify
NotifyAccess=all
ExecStart=/usr/local/bin/parts 127.0.0.1:48567
Restart=on-failure
FileDescriptorStoreMax=16
Environment=NO_COLOR=1
StandardError=file:/run/log
";

#[test]
fn a_crash_and_the_restart_after_it_lose_no_datagram() {
    let parts = example(BINARY, "parts");
    let Some(mut systemd) = Systemd::start(&[("parts.service", PARTS)], &[parts.to_str().expect("our own path")])
    else {
        return;
    };
    assert!(systemd.ctl(&["start", "parts.service"]).status.success());
    let line = systemd.program.line("echo");
    let address = field(&line, "udp").expect("it says where");
    let client = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    client.set_read_timeout(Some(TIMEOUT)).expect("it is not zero");
    client.connect(address).expect("it is an address");
    let kill =
        |signal| assert!(systemd.ctl(&["kill", "--kill-whom=main", "-s", signal, "parts.service"]).status.success());
    let answer = || {
        let mut answer = [0; 64];
        let length = client.recv(&mut answer).expect("each datagram is answered");
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    for datagram in ["one", "two"] {
        kill("STOP");
        client.send(datagram.as_bytes()).expect("it is bound");
        kill("KILL");
        assert_eq!(answer(), format!("1: {datagram}"));
        kill("USR2");
        wait_until("the upgrade is over", || systemd.show("parts.service", "StatusText") == "generation 2 serves");
        assert_eq!(systemd.show("parts.service", "NFileDescriptorStore"), "3", "two listeners, and the socket once");
    }
}

#[test]
fn a_service_that_hangs_is_replaced_by_the_watchdog_and_refuses_no_client() {
    let settings = "WatchdogSec=500ms\nEnvironment=PROBATION=0s";
    let Some(mut deployed) = Deployed::started(settings) else { return };
    deployed.reload_for_good();
    // The new process says that it lives, though WATCHDOG_PID is still the first one's.
    for _ in 0..3 {
        let before = deployed.show("WatchdogTimestampMonotonic");
        wait_until("it says so", || deployed.show("WatchdogTimestampMonotonic") != before);
    }
    deployed.assert_serves(2, "generation 2 serves");
    deployed.no_client_is_refused_while(|| deployed.kill("STOP"));
    deployed.assert_serves(1, "generation 1 serves");
    assert_eq!(deployed.show("NRestarts"), "1");
}

#[test]
fn a_socket_unit_starts_the_service_and_its_socket_is_not_passed_twice() {
    let Some(mut deployed) = Deployed::with("Environment=PROBATION=0s") else { return };
    deployed.succeeds(&["start", SOCKET]);
    assert_eq!(ask().generation, Some(1));
    deployed.reload_for_good();
    deployed.no_client_is_refused_while(|| deployed.kill("KILL"));
    deployed.0.program.line("listening");
    assert_eq!(deployed.0.program.count("closing an inherited listener"), 0, "{}", deployed.0.program.output());
    deployed.succeeds(&["stop", SERVICE]);
    assert_eq!(ask().generation, Some(1), "the socket unit should start it again");
}

#[test]
fn a_listener_that_a_new_version_does_not_use_is_not_stored_any_more() {
    let Some(deployed) = Deployed::started("") else { return };
    assert_eq!(deployed.show("NFileDescriptorStore"), "2");
    deployed.0.put("new-demo", Path::new(BINARY));
    deployed.put_script("exec /usr/local/bin/new-demo --listen 127.0.0.1:48567");
    assert!(deployed.reload().status.success());
    deployed.assert_serves(2, "generation 2 serves");
    assert_eq!(deployed.show("NFileDescriptorStore"), "1", "clients of the control socket would wait for ever");
}

#[test]
fn a_stop_ends_every_generation_that_drains_or_is_on_probation_and_has_the_time_that_it_needs() {
    let settings = "Environment=PROBATION=1h DRAIN_TIMEOUT=1h\nTimeoutStopSec=1s";
    let Some(deployed) = Deployed::started(settings) else { return };
    let held = hold(ADDRESS);
    let mut client = Wire::connect(ADDRESS);
    client.send("GET /sleep/?duration=3s HTTP/1.1\r\nHost: lab\r\n\r\n");
    wait_until("both are being answered", || deployed.requests() == 2);
    for _ in 0..2 {
        assert!(deployed.reload().status.success());
    }
    thread::scope(|scope| {
        let stop = scope.spawn(|| deployed.0.ctl(&["stop", SERVICE]));
        wait_until("the stop has begun", || deployed.show("StatusText") == "generation 3 stops");
        // Not even while it drains: what systemd has stored, it has closed.
        await_refusal(ADDRESS);
        assert!(!stop.is_finished(), "the oldest generation still owes an answer");
        let_go(held);
        assert!(client.reply().text().contains("slept"), "systemd should have waited for longer than a second");
        assert!(stop.join().expect("it does not panic").status.success());
    });
    assert_eq!((deployed.show("ActiveState"), deployed.show("Result")), ("inactive".into(), "success".into()));
    assert_eq!(deployed.show("NRestarts"), "0");
}

/// When no older process is left, systemd would not wait for a process that it has not started.
#[test]
fn a_stop_after_an_upgrade_waits_for_the_answers_that_are_owed() {
    let Some(mut deployed) = Deployed::started("Environment=PROBATION=0s") else { return };
    deployed.reload_for_good();
    let held = hold(ADDRESS);
    thread::scope(|scope| {
        let stop = scope.spawn(|| deployed.0.ctl(&["stop", SERVICE]));
        wait_until("the stop has begun", || deployed.show("StatusText") == "generation 2 stops");
        await_refusal(ADDRESS);
        let_go(held);
        assert!(stop.join().expect("it does not panic").status.success());
    });
    assert_eq!((deployed.show("ActiveState"), deployed.show("Result")), ("inactive".into(), "success".into()));
}

#[test]
fn twenty_reloads_under_load_lose_nothing_and_nothing_grows() {
    let Some(deployed) = Deployed::started("Environment=PROBATION=1s") else { return };
    let load = Plan::new(ADDRESS).start();
    load.wait_until_warm();
    let last = 1 + upgrades(20);
    let (mut early, files) = (None, deployed.files());
    for generation in 2..=last {
        let old = deployed.process();
        let output = deployed.reload();
        assert!(output.status.success(), "{output:?}\n{}", deployed.0.program.output());
        load.wait_for_generation(generation);
        if early.is_none() || generation == last {
            wait_until("the old process has ended", || !old.exists());
        }
        early.get_or_insert_with(|| size(&deployed.process()));
    }
    assert_not_grown(early.expect("there was a reload"), &deployed.process());
    wait_until("every process that has ended was reaped", || deployed.zombies() == 0);
    assert_eq!(deployed.files(), files);
    let tally = load.stop();
    tally.assert_nothing_lost();
    assert_eq!(tally.closed_announced + tally.closed_unannounced, 0, "{tally:#?}");
    deployed.assert_serves(last, &format!("generation {last} serves"));
}

/// What a service manager would hear: a socket, and the program that was told of it.
fn heard(more: &[(&str, &str)]) -> (UnixDatagram, Generations, Deployment) {
    let deployment = deployment();
    let path = deployment.socket();
    let socket = UnixDatagram::bind(&path).expect("our own folder");
    socket.set_read_timeout(Some(TIMEOUT)).expect("it is not zero");
    let mut command = command(BINARY, &["--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &path).envs(more.iter().copied());
    (socket, Generations::start(&mut command, 1), deployment)
}

/// The next message that begins like this. Others come in between.
#[track_caller]
fn message(socket: &UnixDatagram, begins: &str) -> String {
    let mut space = [0; 4096];
    loop {
        let length = socket.recv(&mut space).unwrap_or_else(|error| panic!("no message {begins:?} came: {error}"));
        let message = String::from_utf8_lossy(&space[..length]).into_owned();
        if message.starts_with(begins) {
            return message;
        }
    }
}

#[test]
fn any_service_manager_hears_which_process_serves_and_a_hangup_is_a_stop_unless_it_is_systemd() {
    let (socket, mut server, _deployment) = heard(&[]);
    message(&socket, "STATUS=starting\nEXTEND_TIMEOUT_USEC=15000000");
    message(&socket, &format!("MAINPID={}\nREADY=1\nSTATUS=generation 1 serves", server.serving));
    server.upgrade();
    message(&socket, "RELOADING=1\nMONOTONIC_USEC=");
    message(&socket, &format!("MAINPID={}\nREADY=1\nSTATUS=generation 2 serves", server.serving));
    server.signal(Signal::SIGHUP);
    message(
        &socket,
        &format!("MAINPID={}\nSTOPPING=1\nSTATUS=generation 2 stops\nEXTEND_TIMEOUT_USEC=", server.serving),
    );
    await_exit(server.serving);
}

#[test]
fn the_manager_of_another_service_hears_nothing() {
    // As a shell has it that was started in that service.
    let (socket, mut server, _deployment) = heard(&[("SYSTEMD_EXEC_PID", "1")]);
    server.upgrade();
    server.signal(Signal::SIGHUP);
    await_exit(server.serving);
    socket.set_nonblocking(true).expect("it is a socket");
    assert!(socket.recv(&mut [0]).is_err(), "it is not its service");
}
