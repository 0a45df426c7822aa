//! What goes wrong on the way. A connection may be lost with the process that has it; none is served by two, and none is
//! forgotten.

use lab::{Deployment, Ending, Generations, Reply, Wire, await_exit};
use nix::sys::signal::{Signal, kill};

use crate::server::{BINARY, assert_kept, assert_served_by, start};

/// Enough to be on their way for a while.
const MANY: usize = 300;

#[test]
fn what_does_not_fit_into_the_successor_is_drained_politely() {
    let deployment = Deployment::of(BINARY);
    let mut server = deployment.start(&[]);
    let mut clients = connect(&server, 60);
    std::fs::hard_link(BINARY, deployment.path().join("server.real")).expect("a link on the same file system");
    deployment.put_script(r#"ulimit -n 100; exec "$(dirname "$0")/server.real" "$@""#);
    let old = server.upgrade();
    server.program.line("connections are left to the old process");
    // All at once: who is silent for two seconds is closed.
    for client in &mut clients {
        client.get("/");
    }
    let replies: Vec<_> = clients.iter_mut().map(Wire::reply).collect();
    let of = |generation| replies.iter().filter(|reply| reply.header("x-generation") == Some(generation)).count();
    assert_eq!(of("1") + of("2"), clients.len(), "everybody is answered, by the one or the other");
    assert!(of("2") > 0, "the first ones fit");
    assert!(of("1") > 0, "not all of them fit below a limit of 100");
    // One of the old process may be answered before it was offered and declined, so not all of them say close yet.
    let closed_by_the_new_one = |reply: &&Reply| reply.says_close() && reply.header("x-generation") == Some("2");
    assert_eq!(replies.iter().filter(closed_by_the_new_one).count(), 0, "what went over stays open");
    await_exit(old);
    server.assert_answered_by(2);
}

#[test]
fn a_successor_that_dies_halfway_takes_along_only_what_it_has() {
    let mut server = start(&[]);
    let clients = connect(&server, MANY);
    server.upgrade();
    server.signal(Signal::SIGKILL);
    server.program.line("this process serves on");
    server.assert_answered_by(1);
    let mut kept = still_served(clients, "1");

    // And the next upgrade hands over what is left.
    server.serving = server.program.pid();
    server.generation = 1;
    let pattern = "generation=2 ";
    server.signal(Signal::SIGUSR2);
    let line = server.program.line(pattern);
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
    still_served(clients, "2");
}

#[test]
fn a_successor_that_is_told_to_stop_leaves_what_it_does_not_have_to_the_old_process() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut slow = Wire::connect(server.address());
    slow.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nfirst");
    slow.wait_for("first");
    let old = server.upgrade();
    server.signal(Signal::SIGTERM);
    await_exit(server.serving);
    slow.send("rest.");
    assert_eq!(slow.reply().text(), "firstrest.");
    let last = slow.ask("/");
    assert!(last.says_close() && last.header("x-generation") == Some("1"), "closed politely, please: {last:?}");
    await_exit(old);
}

/// An upgrade while connections still come from the one before: they are passed on.
#[test]
fn upgrades_that_follow_each_other_at_once_keep_all_connections() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut clients = connect(&server, MANY);
    let old: Vec<_> = (0..4).map(|_| server.upgrade()).collect();
    for process in old {
        await_exit(process);
    }
    for client in &mut clients {
        assert_served_by(client, 5);
    }
}

fn connect(server: &Generations, clients: usize) -> Vec<Wire> {
    let connect = |number| {
        let mut client = Wire::connect(server.address());
        // Some have spoken, some have begun to, some have not.
        match number % 3 {
            0 => assert_kept(&client.ask("/"), 1),
            1 => client.send("GET"),
            _ => {}
        }
        (client, number)
    };
    // Those that have begun finish what they began first, or their next request would be a riddle.
    let finish = |(mut client, number): (Wire, usize)| {
        if number % 3 == 1 {
            client.send(" /readyz HTTP/1.1\r\nHost: lab\r\n\r\n");
            client.reply();
        }
        client
    };
    let clients: Vec<_> = (0..clients).map(connect).collect();
    clients.into_iter().map(finish).collect()
}

/// Asks over each connection: it is answered by `generation`, once, or it has ended. Returns those that were answered.
#[track_caller]
fn still_served(clients: Vec<Wire>, generation: &str) -> Vec<Wire> {
    let ask = |mut client: Wire| {
        let asked = client.try_send("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
        match asked.map_err(|_| Ending::Reset).and_then(|()| client.reply_or_ending()) {
            Ok(reply) => {
                assert_eq!(reply.header("x-generation"), Some(generation), "{reply:?}");
                Some(client)
            }
            Err(_) => None,
        }
    };
    clients.into_iter().filter_map(ask).collect()
}
