//! Everything that can be on a websocket when it goes over, and what keeps one from it.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use testkit::{Deployment, Ending, Generations, assert_ends_well, await_exit, example, wait_until};

use crate::server::{BINARY, drain, replace};
use crate::websocket::{CLOSE, FIN, PING, PONG, TEXT, Websocket, frame};

pub(crate) fn start(more: &[&str]) -> Generations {
    let mut command = Command::new(example(BINARY, "websockets"));
    Generations::start(command.args(["--listen", "127.0.0.1:0", "--drain-timeout", "1h"]).args(more), 1)
}

#[test]
fn one_websocket_outlives_a_hundred_upgrades() {
    let mut server = start(&[]);
    let mut client = Websocket::open(&server);
    for generation in 1..=101 {
        client.assert_served_by(generation);
        if generation < 101 {
            replace(&mut server);
        }
    }
}

#[test]
fn one_that_has_said_nothing_yet() {
    let mut server = start(&[]);
    let mut client = Websocket::open(&server);
    replace(&mut server);
    replace(&mut server);
    client.assert_served_by(3);
}

#[test]
fn a_frame_may_be_cut_anywhere() {
    let mut server = start(&[]);
    for text in ["hello", &"x".repeat(8_000)] {
        let mut client = Websocket::open(&server);
        let message = frame(FIN | TEXT, text.as_bytes());
        for part in [&message[..1], &message[1..4], &message[4..7]] {
            client.wire.send(part);
            replace(&mut server);
        }
        client.wire.send(&message[7..]);
        assert_eq!(client.answered(text), server.generation);
    }
}

#[test]
fn a_long_frame_and_a_message_in_parts_end_where_they_began() {
    let mut server = start(&[]);
    let (mut long, mut parts) = (Websocket::open(&server), Websocket::open(&server));
    let text = "x".repeat(100_000);
    let message = frame(FIN | TEXT, text.as_bytes());
    long.wire.send(&message[..50_000]);
    parts.send(TEXT, b"in ");
    parts.send(FIN | PING, b"between");
    assert_eq!(parts.read(), (FIN | PONG, b"between".to_vec()));
    let old = server.upgrade();
    parts.send(0, b"three ");
    parts.send(FIN | PING, b"again");
    assert_eq!(parts.read(), (FIN | PONG, b"again".to_vec()));
    // It is always in the middle of a message; so it goes over only because what is sent behind an end belongs to the new process.
    let mut answered_by = vec![];
    while answered_by.last() != Some(&2) {
        parts.wire.send([frame(FIN, b"parts"), frame(TEXT, b"in three ")].concat());
        answered_by.push(parts.answered("in three parts"));
    }
    assert_eq!(answered_by[0], 1, "it ends where it began");
    parts.send(FIN, b"parts");
    assert_eq!(parts.answered("in three parts"), 2);
    long.wire.send(&message[50_000..]);
    // Where it ends depends on whether the old process had read any of it.
    long.answered(&text);
    long.goes_to(2);
    await_exit(old);
}

#[test]
fn every_ping_is_answered_once_and_in_order() {
    let mut server = start(&[]);
    let mut client = Websocket::open(&server);
    for round in 0..20 {
        let pings = |when: &str| (0..3).map(|number| format!("{when} {round} {number}")).collect::<Vec<_>>();
        let all = [pings("before"), pings("while"), pings("after")];
        for ping in &all[0] {
            client.send(FIN | PING, ping.as_bytes());
        }
        server.signal(nix::sys::signal::Signal::SIGUSR2);
        for ping in &all[1] {
            client.send(FIN | PING, ping.as_bytes());
        }
        let old = server.serving;
        server.next_generation(1);
        await_exit(old);
        for ping in &all[2] {
            client.send(FIN | PING, ping.as_bytes());
        }
        for ping in all.iter().flatten() {
            // A library may answer the last of several, and that only (RFC 6455, section 5.5.3); ours is not so slow.
            assert_eq!(client.read(), (FIN | PONG, ping.clone().into_bytes()));
        }
        client.assert_served_by(server.generation);
    }
}

#[test]
fn a_close_in_the_very_moment_is_answered_once() {
    const CLIENTS: usize = 40;
    let mut server = start(&[]);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Websocket::open(&server)).collect();
    server.signal(nix::sys::signal::Signal::SIGUSR2);
    let old = server.serving;
    for (number, client) in clients.iter_mut().enumerate() {
        if number == CLIENTS / 2 {
            server.next_generation(1);
        }
        if number % 2 == 0 {
            client.say("last");
        }
        client.send(FIN | CLOSE, &1000_u16.to_be_bytes());
    }
    for (number, mut client) in clients.into_iter().enumerate() {
        if number % 2 == 0 {
            client.answered("last");
        }
        client.assert_closed(1000);
    }
    await_exit(old);
    drain(&mut server);
    assert_ends_well(server);
}

#[test]
fn what_is_sent_without_waiting_is_answered_in_order() {
    const GENERATIONS: u64 = 10;
    let mut server = start(&[]);
    let mut client = Websocket::open(&server);
    let mut sender = client.wire.sender();
    // So far ahead, and no further: otherwise one process would answer them all.
    let (ahead, behind) = std::sync::mpsc::sync_channel(700);
    let sent = std::thread::spawn(move || {
        // Until the other thread reads no more.
        for number in (0..).take_while(|_| ahead.send(()).is_ok()) {
            let message = frame(FIN | TEXT, u32::to_string(&number).as_bytes());
            std::io::Write::write_all(&mut sender, &message).expect("it is read");
        }
    });
    let (mut old, mut generation) = (None, 0);
    for number in 0.. {
        let answered_by = client.answered(&u32::to_string(&number));
        assert!(generation <= answered_by, "no old process answers after a new one");
        generation = answered_by;
        if generation == GENERATIONS {
            break;
        }
        // The next upgrade waits until the one before is over.
        if number % 500 == 250 && generation == server.generation {
            old.replace(server.upgrade()).map(await_exit);
        }
        behind.recv().expect("the other thread sends on");
    }
    drop(behind);
    sent.join().expect("no panic");
}

#[test]
fn a_handler_that_thinks_is_waited_for() {
    let mut server = start(&[]);
    let mut client = Websocket::open(&server);
    let directory = tempfile::tempdir().expect("there is room");
    let pipe = directory.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).expect("our own directory");
    let think = format!("think until {}", pipe.display());
    client.say(&think);
    // In this order, so it comes while the handler is at it.
    client.say("next");
    // Without a reader, it cannot be opened so (fifo(7)).
    let mut open = File::options();
    let open = open.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let mut end = None;
    wait_until("the handler is at it", || {
        end = open.open(&pipe).ok();
        end.is_some()
    });
    let old = server.upgrade();
    server.program.line("draining");
    drop(end);
    assert_eq!(client.answered(&think), 1);
    client.answered("next");
    await_exit(old);
    client.assert_served_by(2);
}

#[test]
fn a_message_that_does_not_end_is_cut_with_1012() {
    let mut server = start(&["--message-timeout", "300ms"]);
    let mut parts = Websocket::open(&server);
    parts.send(TEXT, b"for ever");
    // In this order, so the process has the part.
    parts.send(FIN | PING, b"");
    parts.read();
    let old = server.upgrade();
    parts.assert_closed(1012);
    await_exit(old);
}

#[test]
fn a_handler_that_waits_for_an_answer_gets_it() {
    let mut server = start(&[]);
    let mut client = Websocket::open(&server);
    client.say("ask");
    assert_eq!(client.read(), (FIN | TEXT, b"who?".to_vec()));
    let old = server.upgrade();
    client.say("me");
    assert_eq!(client.answered("ask"), 1);
    await_exit(old);
    client.assert_served_by(2);
}

#[test]
fn a_client_that_takes_nothing_is_cut() {
    let mut server = start(&["--message-timeout", "300ms"]);
    let client = Websocket::open(&server);
    let mut sender = client.wire.sender();
    let message = frame(FIN | TEXT, "x".repeat(1 << 20).as_bytes());
    // Until the server's answers are stuck, and it reads no more.
    let sent = std::thread::spawn(move || while std::io::Write::write_all(&mut sender, &message).is_ok() {});
    await_exit(server.upgrade());
    sent.join().expect("the connection ends");
    drop(client);
}

#[test]
fn a_stop_says_goodbye_once_nothing_is_under_way() {
    let mut server = start(&[]);
    let [idle, mut parts, mut asked] = [(); 3].map(|()| Websocket::open(&server));
    parts.send(TEXT, b"in ");
    parts.send(FIN | PING, b"");
    parts.read();
    asked.say("ask");
    asked.read();
    drain(&mut server);
    idle.assert_closed(1001);
    parts.send(FIN, b"parts");
    parts.answered("in parts");
    parts.assert_closed(1001);
    asked.say("me");
    asked.answered("ask");
    asked.assert_closed(1001);
    assert_ends_well(server);
}

#[test]
fn what_cannot_go_is_told_so_before_the_deadline() {
    let deployment = Deployment::of(example(BINARY, "websockets"));
    let mut server = deployment.start(&["--drain-timeout", "2s"]);
    let client = Websocket::open(&server);
    deployment.put_script(&format!("exec '{}' \"$@\"", example(BINARY, "connection-handover").display()));
    let old = server.upgrade();
    client.assert_closed(1012);
    await_exit(old);
}

#[test]
fn one_whose_state_is_too_long_stays() {
    let mut server = start(&[]);
    let (mut client, mut other) = (Websocket::open(&server), Websocket::open(&server));
    client.say("grow");
    client.answered("grow");
    server.upgrade();
    other.goes_to(2);
    client.assert_served_by(1);
}

#[test]
fn a_handler_that_panics_ends_its_own_connection() {
    let mut server = start(&[]);
    let (mut client, mut other) = (Websocket::open(&server), Websocket::open(&server));
    client.say("panic");
    assert_eq!(client.wire.ending(), Ending::Eof);
    replace(&mut server);
    other.assert_served_by(2);
}

#[test]
fn a_client_that_breaks_the_rules_is_refused_after_an_upgrade_as_before() {
    // Not masked; an extension's bit; an unknown frame; a ping in parts; no beginning; a length of 2^63.
    let broken = [
        &[0x81, 0][..],
        &[0xc1, 0x80, 0, 0, 0, 0],
        &[0x83, 0x80, 0, 0, 0, 0],
        &[0x09, 0x80, 0, 0, 0, 0],
        &[0x80, 0x80, 0, 0, 0, 0],
        &[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    let mut server = start(&[]);
    for upgrades in 0..2 {
        for bytes in broken {
            let mut client = Websocket::open(&server);
            client.assert_served_by(server.generation);
            for _ in 0..upgrades {
                replace(&mut server);
            }
            client.wire.send(bytes);
            client.wire.rest();
        }
    }
}

/// Asserts that what a successor does not take is served on by the process that has it, and nothing is lost.
#[track_caller]
fn stays_with_the_old_process(successor: &str, why: &str) {
    let deployment = Deployment::of(example(BINARY, "websockets"));
    let mut server = deployment.start(&["--drain-timeout", "1h"]);
    let mut clients = [(); 3].map(|()| Websocket::open(&server));
    deployment.put_script(successor);
    let old = server.upgrade();
    server.program.line(why);
    for client in &mut clients {
        client.send(TEXT, b"half");
        client.send(FIN, b"way");
        assert_eq!(client.answered("halfway"), 1);
        client.assert_served_by(1);
    }
    for mut client in clients {
        client.send(FIN | CLOSE, &1000_u16.to_be_bytes());
        client.assert_closed(1000);
    }
    await_exit(old);
}

#[test]
fn a_successor_that_knows_nothing_of_tunnels_gets_none() {
    let program = example(BINARY, "connection-handover");
    stays_with_the_old_process(&format!("exec '{}' \"$@\"", program.display()), "this version takes no");
}

#[test]
fn a_successor_that_knows_another_version_of_the_state_gets_none() {
    let program = example(BINARY, "websockets");
    let successor = format!("exec '{}' \"$@\" --websockets counter/2", program.display());
    stays_with_the_old_process(&successor, "this version takes no");
}

#[test]
fn a_successor_without_descriptors_gets_none() {
    let program = example(BINARY, "websockets");
    let successor = format!("ulimit -n 70; exec '{}' \"$@\"", program.display());
    stays_with_the_old_process(&successor, "descriptors is reached");
}

#[test]
fn at_the_deadline_one_that_was_taken_over_is_cut_and_counted() {
    let mut command = Command::new(example(BINARY, "websockets"));
    // Time enough for a slow machine to hand one connection over.
    let mut server = Generations::start(command.args(["--listen", "127.0.0.1:0", "--drain-timeout", "3s"]), 1);
    let mut client = Websocket::open(&server);
    replace(&mut server);
    client.assert_served_by(2);
    client.say("ask");
    client.read();
    drain(&mut server);
    client.wire.rest();
    assert!(server.program.wait_all().contains("cut=1"), "it should have been counted");
}
