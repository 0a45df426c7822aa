//! Several listeners, and versions that disagree about them.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use std::net::TcpListener;
use testkit::{Generations, await_exit, await_refusal, hold, let_go};

use crate::server::{BINARY, deployment, get, unix};

#[test]
fn each_listener_goes_to_the_service_of_its_name() {
    let mut command = Command::new(BINARY);
    let mut server = Generations::start(command.args(["--listen", "127.0.0.1:0"].repeat(3)), 3);
    for generation in 2..=3 {
        await_exit(server.upgrade());
        for (address, name) in server.addresses.iter().zip(["zero", "first", "second"]) {
            let answer = get(address, "/sleep/?duration=1ms");
            assert!(answer.starts_with(&format!("{name} started")), "{address} in generation {generation}: {answer}");
        }
    }
}

/// The new version lists them the other way round: names change sides, and addresses must not.
#[test]
fn a_new_version_may_list_the_same_addresses_in_another_order() {
    let deployment = deployment();
    let mut command = Command::new(deployment.server());
    let mut server = Generations::start(command.args(["--listen", "127.0.0.1:0"].repeat(2)), 2);
    let [one, two] = [server.addresses[0].clone(), server.addresses[1].clone()];
    deployment.put_script(&format!("exec '{BINARY}' --listen {two} --listen {one}"));
    server.signal(Signal::SIGUSR2);
    assert_eq!(server.next_generation(2), [two.clone(), one.clone()]);
    for (address, name) in [(two, "zero"), (one, "first")] {
        let answer = get(&address, "/sleep/?duration=1ms");
        assert!(answer.starts_with(name), "{address}: {answer}");
    }
}

#[test]
fn a_new_version_may_listen_on_more() {
    let deployment = deployment();
    let mut server = deployment.start(&[]);
    deployment.put_script(&format!("exec '{BINARY}' --listen {} --listen 127.0.0.1:0", server.address()));
    server.signal(Signal::SIGUSR2);
    let addresses = server.next_generation(2);
    assert_eq!(addresses[0], server.addresses[0]);
    for address in addresses {
        assert!(get(&address, "/").ends_with("generation 2\n"));
    }
}

#[test]
fn a_listener_that_the_new_version_does_not_want_refuses_clients() {
    let deployment = deployment();
    let path = deployment.socket();
    let mut command = Command::new(deployment.server());
    command.args(["--drain-timeout", "1h", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    let mut server = Generations::start(command.args(["--listen", &unix(&path)]), 3);
    let first = server.serving;
    let mut held = hold(&server.addresses[1]);

    deployment.put_script(&format!("exec '{BINARY}' --listen {}", server.addresses[0]));
    server.signal(Signal::SIGUSR2);
    server.next_generation(1);
    server.assert_answered_by(2);
    for unwanted in &server.addresses[1..] {
        // As soon as the clients that wait there are answered.
        await_refusal(unwanted);
    }
    assert!(!path.exists());

    // And if the new version is lost, the old one has them again.
    kill(server.serving, Signal::SIGKILL).unwrap();
    server.generation = 0;
    server.next_generation(3);
    for address in &server.addresses {
        assert!(get(address, "/").ends_with("generation 1\n"));
    }
    held.send("rest.");
    held.reply();

    // A version that wants them all again finds them, and the end of the old process takes nothing from it.
    deployment.put_binary();
    (server.serving, server.generation) = (first, 1);
    await_exit(server.upgrade());
    for address in &server.addresses {
        assert!(get(address, "/").ends_with("generation 2\n"));
    }
    server.stop();
    assert!(!path.exists());
}

#[test]
fn a_process_that_comes_back_listens_on_what_can_be_had() {
    let deployment = deployment();
    let mut command = Command::new(deployment.server());
    command.args(["--listen", "127.0.0.1:0"].repeat(2)).args(["--drain-timeout", "1h"]);
    let mut server = Generations::start(&mut command, 2);
    let (first, [kept, lost]) = (server.serving, [server.addresses[0].clone(), server.addresses[1].clone()]);
    let held = hold(&kept);
    deployment.put_script(&format!("exec '{BINARY}' --listen {kept}"));
    server.signal(Signal::SIGUSR2);
    server.next_generation(1);
    await_refusal(&lost);
    let taken = TcpListener::bind(&lost).expect("it was given up");
    kill(server.serving, Signal::SIGKILL).unwrap();

    let line = server.program.line("cannot listen on");
    assert!(line.contains(&lost), "{line}");
    server.generation = 0;
    assert_eq!(server.next_generation(1), [kept.as_str()], "it says where it listens, and nothing else");
    assert!(get(&kept, "/").ends_with("generation 1\n"));
    let_go(held);

    // As the line says: once the address is free, an upgrade has it back.
    drop(taken);
    deployment.put_script(&format!("exec '{BINARY}' --listen {kept} --listen {lost}"));
    (server.serving, server.generation) = (first, 1);
    await_exit(server.upgrade());
    for address in [kept, lost] {
        assert!(get(&address, "/").ends_with("generation 2\n"));
    }
}

/// If there are too many for the descriptor limit, the start says so, not the first upgrade at night: see `scarcity`.
#[test]
fn many_listeners_are_passed_on() {
    let mut command = Command::new(BINARY);
    let mut server = Generations::start(command.args(["--listen", "127.0.0.1:0"].repeat(200)), 200);
    await_exit(server.upgrade());
    for address in &server.addresses {
        assert!(get(address, "/").ends_with("generation 2\n"));
    }
}
