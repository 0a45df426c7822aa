//! Several listeners: a connection is served by the service of the address that it connected to, whatever that service
//! is called in the new process.

use testkit::{Deployment, Generations, Wire, await_exit};

use crate::server::{BINARY, assert_kept, assert_served_by, assert_told_by, command, replace};

/// Which service answers.
fn name(client: &mut Wire) -> String {
    let answer = client.ask("/sleep/?duration=0s").text();
    answer.split_once(' ').map(|(name, _)| name.to_owned()).unwrap_or(answer)
}

#[test]
fn connections_of_several_listeners_unix_sockets_among_them() {
    let directory = tempfile::tempdir().expect("there is room in /tmp");
    let unix = format!("unix:{}", directory.path().join("socket").display());
    let mut command = command();
    command.args(["--listen", "127.0.0.1:0", "--listen", &unix, "--listen", "127.0.0.1:0"]);
    let mut server = Generations::start(&mut command, 3);
    let mut clients: Vec<_> = server.addresses.iter().map(|address| Wire::connect(address)).collect();
    for client in &mut clients {
        assert_served_by(client, 1);
    }
    replace(&mut server);
    for (client, expected) in clients.iter_mut().zip(["zero", "first", "second"]) {
        assert_served_by(client, 2);
        assert_eq!(name(client), expected, "the service of another listener answered");
    }
}

/// A server on these two addresses, whose next version lists them the other way round.
#[track_caller]
fn swapped(one: &str, other: &str) {
    let deployment = Deployment::of(BINARY);
    let mut command = std::process::Command::new(deployment.server());
    let mut server = Generations::start(command.args(["--listen", one, "--listen", other]), 2);
    let [one, other] = [server.addresses[0].clone(), server.addresses[1].clone()];
    let mut kept = [&one, &other].map(|address| Wire::connect(address));
    assert_eq!(kept.each_mut().map(name), ["zero", "first"]);

    std::fs::hard_link(BINARY, deployment.path().join("real")).expect("a link on the same file system");
    deployment.put_script(&format!(r#"exec "$(dirname "$0")/real" --listen "{other}" --listen "{one}""#));
    await_exit(server.upgrade());
    let mut fresh = [&one, &other].map(|address| Wire::connect(address));
    let expected = ["first", "zero"];
    assert_eq!(fresh.each_mut().map(name), expected);
    assert_eq!(kept.each_mut().map(name), expected, "a kept connection is served as a fresh one to its address is");
    for client in &mut kept {
        assert_served_by(client, 2);
    }
}

#[test]
fn two_unix_sockets_swapped_in_the_new_version() {
    let directory = tempfile::tempdir().expect("there is room in /tmp");
    let path = |name| format!("unix:{}", directory.path().join(name).display());
    swapped(&path("public"), &path("admin"));
}

#[test]
fn two_tcp_ports_swapped_in_the_new_version() {
    swapped("127.0.0.1:0", "127.0.0.1:0");
}

#[test]
fn a_connection_to_an_address_that_the_new_version_has_no_use_for_is_closed_politely() {
    let deployment = Deployment::of(BINARY);
    let mut command = std::process::Command::new(deployment.server());
    command.args(["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    let mut server = Generations::start(&mut command, 2);
    let mut clients = [0, 1].map(|number: usize| Wire::connect(&server.addresses[number]));
    for client in &mut clients {
        assert_served_by(client, 1);
    }

    std::fs::hard_link(BINARY, deployment.path().join("real")).expect("a link on the same file system");
    deployment.put_script(r#"exec "$(dirname "$0")/real" "$1" "$2""#);
    server.addresses.truncate(1);
    let old = server.upgrade();
    server.program.line("nothing is served on");
    let [stays, goes] = &mut clients;
    assert_told_by(goes, 1);
    await_exit(old);
    assert_kept(&stays.ask("/"), 2);
}
