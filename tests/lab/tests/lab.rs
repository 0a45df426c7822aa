//! The program `lab` tells the truth, and leaves nothing behind.
//!
//! The server it upgrades is two things here: a script that logs what a server logs and hands over on SIGUSR2, and a
//! thread of this test that answers, and so decides what the clients notice.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test itself")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use lab::peers::Protocol;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{End, Program, await_exit, descendants, require_program};

/// Answers with a generation that grows by one per hundred answers, so every upgrade is soon answered. On each
/// connection, the request after the first `good` ones is lost.
fn answering_thread(good: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || answer(&stream, good));
        }
    });
    address
}

/// Answers as whichever generation of `script` was started last.
fn answering_for(listener: TcpListener, pids: PathBuf) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, pids) = (stream.unwrap(), pids.clone());
            thread::spawn(move || {
                let mut requests = BufReader::new(&stream).lines().map_while(Result::ok).filter(String::is_empty);
                if requests.next().is_some() {
                    let text = fs::read_to_string(&pids).unwrap();
                    let pid = text.lines().last().unwrap();
                    let head = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n";
                    // The client may have been ended meanwhile.
                    let _ = (&stream).write_all(format!("{head}x-pid: {pid}\r\n\r\n").as_bytes());
                }
            });
        }
    });
}

fn answer(mut stream: &TcpStream, good: usize) {
    // A request without a body ends with its first empty line.
    let requests = BufReader::new(stream).lines().map_while(Result::ok).filter(String::is_empty);
    for (number, _) in requests.enumerate() {
        if number == good {
            return;
        }
        let generation = number / 100 + 1;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-generation: {generation}\r\n\r\n");
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}

/// A program that logs like a server, and on SIGUSR2 starts itself again and ends.
struct Script {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Script {
    /// The pids of all its generations so far.
    fn pids(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.path.with_extension("pids")).unwrap();
        text.lines().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
    }
}

fn script(address: &str) -> Script {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server");
    let text = format!(
        "#!/bin/sh\n\
         trap '\"$0\" & exit 0' USR2\n\
         echo $$ >> \"$0.pids\"\n\
         echo listening address={address} pid=$$\n\
         while :; do sleep 1000 & wait; done\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Script { _directory: directory, path }
}

/// A script, and a thread that answers for it.
fn answered_script() -> Script {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let script = script(&listener.local_addr().unwrap().to_string());
    answering_for(listener, script.path.with_extension("pids"));
    script
}

fn compare(script: &Script, more: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    Program::start(command.args(["compare", "--server"]).arg(&script.path).args(more))
}

fn assert_gone(script: &Script) {
    let pids = script.pids();
    assert!(pids.len() >= 2, "{pids:?}");
    for pid in pids {
        await_exit(pid);
        assert_eq!(kill(pid, None), Err(Errno::ESRCH), "generation with pid {pid}");
    }
}

fn lab(server: &str, more: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    Program::start(command.args(["--mode", "keep-alive", "--connections", "1", "--server", server]).args(more))
}

#[test]
fn a_server_that_loses_nothing_gets_status_0_and_a_sentence() {
    let script = script(&answering_thread(usize::MAX));
    let mut lab = lab(script.path.to_str().unwrap(), &["--upgrades", "2"]);
    let end = lab.wait();
    let output = lab.wait_all();
    assert_eq!(end, End::Exited(0), "{output}");
    assert!(output.contains("upgrade 2 of 2"), "{output}");
    assert!(output.lines().last().unwrap().starts_with("2 upgrades, "), "{output}");
    assert!(output.ends_with(" 0 lost."), "{output}");
}

#[test]
fn a_server_that_loses_requests_gets_status_3_and_the_reason() {
    let script = script(&answering_thread(250));
    let mut lab = lab(script.path.to_str().unwrap(), &["--upgrades", "1"]);
    let end = lab.wait();
    let output = lab.wait_all();
    assert_eq!(end, End::Exited(3), "{output}");
    assert!(output.contains("connection closed before message completed"), "{output}");
    assert!(!output.ends_with(" 0 lost."), "{output}");
}

#[test]
fn a_server_that_cannot_be_started_gets_status_1_and_a_way_out() {
    let mut lab = lab("/no/such/server", &[]);
    assert_eq!(lab.wait(), End::Exited(1));
    let output = lab.wait_all();
    assert!(output.ends_with("No such file or directory (os error 2); name another server with --server"), "{output}");
}

#[test]
fn a_program_that_is_no_server_gets_status_1() {
    let mut lab = lab("true", &[]);
    assert_eq!(lab.wait(), End::Exited(1));
    let output = lab.wait_all();
    assert!(output.contains("true does not log where it listens"), "{output}");
}

/// It would be signalled.
#[test]
fn a_server_that_names_a_pid_of_somebody_else_gets_status_1() {
    let script = script("127.0.0.1:1");
    let text = fs::read_to_string(&script.path).unwrap();
    fs::write(&script.path, text.replace("pid=$$", &format!("pid={}", std::process::id()))).unwrap();
    let mut lab = lab(script.path.to_str().unwrap(), &[]);
    assert_eq!(lab.wait(), End::Exited(1));
    let output = lab.wait_all();
    assert!(output.contains("is no process of the server that was started"), "{output}");
}

/// As grace does. An orphan is the lab's child.
#[test]
fn a_server_that_ends_its_parent_does_not_end_the_lab() {
    let script = script(&answering_thread(usize::MAX));
    let text = fs::read_to_string(&script.path).unwrap();
    fs::write(&script.path, text.replace("#!/bin/sh\n", "#!/bin/sh\nkill -TERM $PPID\n")).unwrap();
    let mut lab = lab(script.path.to_str().unwrap(), &["--upgrades", "3"]);
    assert_eq!(lab.wait(), End::Exited(0), "{}", lab.output());
}

#[test]
fn ctrl_c_ends_everything_it_started() {
    let script = script(&answering_thread(usize::MAX));
    let mut lab = lab(script.path.to_str().unwrap(), &["--upgrades", "1000000"]);
    lab.line("upgrade 1 of 1000000");
    lab.signal(Signal::SIGINT);
    assert_eq!(lab.wait().code(), 130);
    assert_gone(&script);
}

#[test]
fn a_comparison_has_every_way_and_every_figure_and_leaves_nothing_behind() {
    let script = answered_script();
    let json = script.path.with_extension("json");
    let mut lab = compare(&script, &["--repeats", "1", "--json", json.to_str().unwrap()]);
    assert_eq!(lab.wait(), End::Exited(0), "{}", lab.output());
    let output = lab.wait_all();
    for words in
        ["kill, then start", "graceful stop, then start", "polite drain", "longest gap (calm)", "Requests lost"]
    {
        assert!(output.contains(words), "{words:?} should be in\n{output}");
    }
    let comparison: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let outcomes = comparison["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), 3, "{comparison}");
    for outcome in outcomes {
        assert!(outcome["figures"]["requests"].as_f64().unwrap() > 0.0, "{outcome}");
        // The thread answers whatever becomes of the script.
        assert_eq!(outcome["figures"]["lost"].as_f64(), Some(0.0), "{outcome}");
    }
    assert_gone(&script);
}

#[test]
fn ctrl_c_in_the_middle_of_a_comparison_ends_everything_it_started() {
    for way in ["kill-start", "polite-drain"] {
        let script = answered_script();
        let mut lab = compare(&script, &["--only", way, "--repeats", "1000000"]);
        lab.line("restart 2 of");
        lab.signal(Signal::SIGINT);
        assert_eq!(lab.wait().code(), 130, "{way}: {}", lab.output());
        assert_gone(&script);
    }
}

#[test]
fn a_comparison_of_a_way_that_there_is_not_gets_status_1_and_the_names_of_those_that_there_are() {
    let mut lab = compare(&script("127.0.0.1:1"), &["--only", "magic"]);
    assert_eq!(lab.wait(), End::Exited(1));
    let output = lab.wait_all();
    assert!(
        output.contains("there is no way called \"magic\"; there are kill-start, stop-start, polite-drain"),
        "{output}"
    );
}

#[test]
fn a_peer_that_there_is_not_gets_status_1_and_the_names_of_those_that_there_are() {
    let mut lab = Program::start(Command::new(env!("CARGO_BIN_EXE_lab")).args(["peers", "--only", "magic"]));
    assert_eq!(lab.wait(), End::Exited(1));
    let said = lab.wait_all();
    for name in ["grace", "tableflip", "ecdysis", "nginx-binary", "haproxy-best"] {
        assert!(said.contains(name), "{name} is not among them: {said}");
    }
}

/// `lab peers` for nginx's reload, or `None` aloud: it is the one for which nothing has to be built.
fn nginx_reload(more: &[&str]) -> Option<Program> {
    require_program("nginx", "nginx-light")?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    Some(Program::start(command.args(["peers", "--only", "nginx-reload"]).args(more)))
}

#[test]
fn a_peer_has_every_figure_and_every_verdict() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("peers.json");
    let Some(mut lab) = nginx_reload(&["--repeats", "1", "--json", json.to_str().unwrap()]) else { return };
    assert_eq!(lab.wait(), End::Exited(0), "{}", lab.output());
    let output = lab.wait_all();
    for words in ["nginx, reload", "Requests lost", "two signals at once"] {
        assert!(output.contains(words), "{words:?} should be in\n{output}");
    }
    let peers: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert!(peers["outcomes"][0]["figures"]["requests"].as_f64().unwrap() > 0.0, "{peers}");
    assert_eq!(peers["failed"].as_array().map(Vec::len), Some(0), "{peers}");
    let beside = &peers["beside"][0];
    let faults = beside["faults"].as_array().unwrap();
    let verdicts: Vec<_> = faults.iter().filter(|fault| !fault[1]["Ok"].is_null()).collect();
    // A reload starts no program that could be missing, end or hang.
    assert_eq!(verdicts.len(), 2, "{peers}");
    for verdict in verdicts {
        assert_eq!(verdict[1]["Ok"]["serves"].as_bool(), Some(true), "{peers}");
    }
}

#[test]
fn idle_connections_are_counted_for_every_protocol_that_a_proxy_speaks() {
    for (program, package) in
        [("nginx", "nginx-light"), ("haproxy", "haproxy"), ("openssl", "openssl"), ("python3", "python3")]
    {
        if require_program(program, package).is_none() {
            return;
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(["peers", "--idle", "--only", "nginx-reload", "--only", "haproxy", "--json"]);
    let mut lab = Program::start(command.arg(directory.path().join("idle.json")));
    // One by one: each takes seconds, and all of them may take longer than a test waits for anything.
    for server in ["nginx, reload", "HAProxy, reload"] {
        for protocol in Protocol::ALL {
            lab.line(&format!("{server}: {}", protocol.title()));
        }
    }
    assert_eq!(lab.wait(), End::Exited(0), "{}", lab.output());
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(directory.path().join("idle.json")).unwrap()).unwrap();
    for server in report["idle"].as_array().unwrap() {
        for (protocol, connections, closed) in
            [("http1", 1000, 1000), ("http2", 1000, 1000), ("websocket", 100, 0), ("tls", 100, 100)]
        {
            let cells = server["idle"].as_array().unwrap();
            let cell = cells.iter().find(|cell| cell[0] == protocol).unwrap();
            let counted = &cell[1]["Ok"];
            assert_eq!([&counted["connections"], &counted["closed"]], [connections, closed], "{protocol}: {report}");
            // An old worker keeps what it does not close.
            assert!(closed > 0 || counted["old_stays"] == true, "{protocol}: {report}");
        }
    }
}

#[test]
fn ctrl_c_in_the_middle_of_a_peer_ends_everything_it_started() {
    let Some(mut lab) = nginx_reload(&["--repeats", "1000000"]) else { return };
    lab.line("restart 2 of");
    let started = descendants(lab.pid());
    assert!(started.len() >= 2, "nginx's master and a worker at least: {started:?}");
    lab.signal(Signal::SIGINT);
    assert_eq!(lab.wait().code(), 130, "{}", lab.output());
    for pid in started {
        await_exit(pid);
        assert_eq!(kill(pid, None), Err(Errno::ESRCH), "pid {pid}");
    }
}

#[test]
fn a_peer_that_is_not_installed_is_named_with_its_package() {
    let empty = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    // Wherever Go is, it is not there.
    command.args(["peers", "--only", "grace", "--only", "tableflip"]).env("PATH", empty.path());
    let mut lab = Program::start(&mut command);
    assert_eq!(lab.wait(), End::Exited(1));
    let output = lab.wait_all();
    for name in ["grace", "tableflip"] {
        let said = output.lines().any(|line| {
            line.contains(&format!("left out: {name}: ")) && line.contains("install it with `apt-get install golang-go")
        });
        assert!(said, "{name} should be named with its package:\n{output}");
    }
}
