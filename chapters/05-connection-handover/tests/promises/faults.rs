//! What goes wrong on the way. A connection may be lost with the process that has it; but no two processes serve one,
//! and none is forgotten: those that were kept and those that have ended add up to all, by the count of both sides.

use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use testkit::{Deployment, Ending, Generations, TIMEOUT, Wire, await_exit, field, hold, let_go};

use crate::server::{BINARY, assert_kept, assert_served_by, assert_told_by, command, drain, start};

/// Enough to be on their way for a while.
const MANY: usize = 300;

/// Connects this many clients: some have been answered, some are in the middle of a head, some have not begun.
fn connect(server: &Generations, clients: usize) -> Vec<Wire> {
    let connect = |number| {
        let mut client = Wire::connect(server.address());
        match number % 3 {
            0 => assert_kept(&client.ask("/"), 1),
            1 => client.send("GET / HTTP/1.1\r\nX-Begun: before\r\n"),
            _ => {}
        }
        client
    };
    (0..clients).map(connect).collect()
}

/// What each client has to send to complete one request.
fn rest(number: usize) -> &'static str {
    if number % 3 == 1 { "Host: lab\r\n\r\n" } else { "GET / HTTP/1.1\r\nHost: lab\r\n\r\n" }
}

/// Asks on each connection: `generation` answers, once, or the connection has ended. Returns those that were answered,
/// and how many have ended.
#[track_caller]
fn still_served(clients: Vec<Wire>, generation: u64) -> (Vec<Wire>, usize) {
    let all = clients.len();
    let ask = |(number, mut client): (usize, Wire)| {
        let asked = client.try_send(rest(number)).map_err(|_| Ending::Reset);
        let reply = asked.and_then(|()| client.reply_or_ending()).ok()?;
        assert_kept(&reply, generation);
        Some(client)
    };
    let kept: Vec<_> = clients.into_iter().enumerate().filter_map(ask).collect();
    let ended = all - kept.len();
    (kept, ended)
}

/// The number behind `key` in the next line with this text.
fn count(server: &mut Generations, line: &str, key: &str) -> usize {
    let line = server.program.line(line);
    field(&line, key).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {key} in {line:?}"))
}

#[test]
fn what_does_not_fit_into_the_successor_is_closed_politely() {
    const CLIENTS: usize = 60;
    let deployment = Deployment::of(BINARY);
    let mut server = deployment.start(&[]);
    let clients = connect(&server, CLIENTS);
    std::fs::hard_link(BINARY, deployment.path().join("real")).expect("a link on the same file system");
    deployment.put_script(r#"ulimit -n 100; exec "$(dirname "$0")/real" "$@""#);
    let old = server.upgrade();
    let why = server.program.line("connections are left to the old process");
    assert!(why.contains("see ulimit -n"), "{why}");
    let (mut kept, mut closed) = (0, 0);
    for (number, mut client) in clients.into_iter().enumerate() {
        client.send(rest(number));
        loop {
            let reply = client.reply();
            if reply.header("x-generation") == Some("2") {
                assert_kept(&reply, 2);
                kept += 1;
                break;
            }
            if reply.says_close() {
                closed += 1;
                break;
            }
            // It was answered before the successor declined it.
            client.get("/");
        }
    }
    await_exit(old);
    let line = server.program.line("connections taken over");
    assert!(line.contains(&format!("taken={kept} declined={closed}")), "{kept} were kept, {closed} closed: {line}");
    assert!(kept > 0 && closed > 0, "some of {CLIENTS} fit below a limit of 100, and some do not: {line}");
    assert_eq!(kept + closed, CLIENTS);
    server.assert_answered_by(2);
}

#[test]
fn a_successor_that_dies_halfway_takes_along_only_what_it_has() {
    // If all that can go have gone by then, only the debug log says so.
    let mut debug = command();
    debug.env("RUST_LOG", "info,connection_handover=debug");
    debug.args(["--listen", "127.0.0.1:0", "--drain-timeout", "1h"]);
    let mut server = Generations::start(&mut debug, 1);
    let clients = connect(&server, MANY);
    // If all others have gone over by then, this one keeps the old process.
    let held = hold(server.address());
    server.upgrade();
    server.signal(Signal::SIGKILL);
    server.program.line("this process serves on");
    server.assert_answered_by(1);
    let handed_over = count(&mut server, "handed_over=", "handed_over");
    let (mut kept, ended) = still_served(clients, 1);
    assert_eq!(ended, handed_over, "what the successor did not take is still ours");
    assert_eq!(kept.len() + ended, MANY);
    let_go(held);

    // And the next upgrade hands over what is left.
    server.serving = server.program.pid();
    server.generation = 1;
    server.signal(Signal::SIGUSR2);
    let line = server.program.line("generation=2 ");
    assert!(line.contains("listening"), "{line}");
    await_exit(server.program.pid());
    for client in &mut kept {
        assert_served_by(client, 2);
    }
}

#[test]
fn an_old_process_that_is_killed_halfway_takes_along_only_what_it_has() {
    let mut server = start(&[]);
    let clients = connect(&server, MANY);
    let old = server.upgrade();
    // It may have finished already.
    let _ = kill(old, Signal::SIGKILL);
    await_exit(old);
    server.assert_answered_by(2);
    let taken = count(&mut server, "connections taken over", "taken");
    let (kept, ended) = still_served(clients, 2);
    assert_eq!(kept.len(), taken, "what the successor has taken over is served");
    assert_eq!(kept.len() + ended, MANY);
}

#[test]
fn a_successor_that_is_told_to_stop_leaves_what_it_does_not_have_to_the_old_process() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut slow = Wire::connect(server.address());
    slow.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nfirst");
    slow.wait_for("first");
    let old = server.upgrade();
    drain(&mut server);
    slow.send("rest.");
    assert_eq!(slow.reply().text(), "firstrest.");
    assert_told_by(&mut slow, 1);
    await_exit(old);
    // A process outlives those before it.
    await_exit(server.serving);
}

/// Both processes get the signal, as from a service manager.
#[test]
fn a_stop_during_a_handover_answers_everything() {
    let mut server = start(&[]);
    let mut clients = connect(&server, MANY);
    let old = server.upgrade();
    let _ = kill(old, Signal::SIGTERM);
    server.signal(Signal::SIGTERM);
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(rest(number));
    }
    for client in &mut clients {
        assert_eq!(client.reply().status, 200);
    }
    await_exit(old);
    await_exit(server.serving);
    let log = server.program.wait_all();
    assert!(!log.contains("ERROR"), "{log}");
}

/// An upgrade while connections still come from the one before: they are passed on.
#[test]
fn upgrades_that_follow_each_other_at_once_keep_all_connections() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let clients = connect(&server, MANY);
    let old: Vec<_> = (0..4).map(|_| server.upgrade()).collect();
    for process in old {
        await_exit(process);
    }
    let (kept, ended) = still_served(clients, 5);
    assert_eq!((kept.len(), ended), (MANY, 0));
}

/// Many upgrades that fail after the old process has begun to hand over leave nothing open in it.
#[test]
fn handovers_that_are_called_off_leave_nothing_behind() {
    let mut server = start(&["--drain-timeout", "1h"]);
    // This one stays throughout.
    let mut slow = Wire::connect(server.address());
    slow.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nfirst");
    slow.wait_for("first");
    let sockets = |server: &Generations| testkit::Census::of(server.program.pid()).targets("socket:").count();
    let mut before = 0;
    for number in 0..5 {
        server.signal(Signal::SIGUSR2);
        let line = server.program.line("generation=2 ");
        let successor = field(&line, "pid").and_then(|pid| pid.parse().ok()).expect("a pid");
        kill(nix::unistd::Pid::from_raw(successor), Signal::SIGKILL).expect("it is there");
        server.program.line("this process serves on");
        // Once it answers, it has done all that it does at the end of an upgrade.
        server.assert_answered_by(1);
        if number == 0 {
            before = sockets(&server);
        }
    }
    // The last one may still be about to close.
    let deadline = Instant::now() + TIMEOUT;
    while sockets(&server) > before {
        assert!(Instant::now() < deadline, "there were {before}: each handover leaves a channel open");
        thread::yield_now();
    }
    slow.send("rest.");
    assert_eq!(slow.reply().text(), "firstrest.");
    assert_served_by(&mut slow, 1);
}
