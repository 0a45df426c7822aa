//! The page *Use it in your server* promises that its programs are upgraded without a loss. They are.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use testkit::load::Plan;
use testkit::{Generations, Wire, example, field};

const UPGRADES: u64 = 20;

fn start(name: &str) -> Generations {
    let mut command = Command::new(example(env!("CARGO_BIN_EXE_graceful-demo"), name));
    // Their log has colours otherwise.
    Generations::start(command.arg("127.0.0.1:0").env("NO_COLOR", "1"), 1)
}

/// Each upgrade ends the probation of the one before it.
#[track_caller]
fn is_upgraded_without_a_loss(server: &mut Generations) {
    let load = Plan::new(server.address()).start();
    load.wait_until_warm();
    for _ in 0..UPGRADES {
        server.upgrade();
        load.wait_for_generation(server.generation);
    }
    let tally = load.stop();
    tally.assert_nothing_lost();
    tally.assert_every_close_announced();
    assert_eq!(tally.closed_announced, 0, "connections should have been handed over: {tally:#?}");
}

#[test]
fn a_hyper_service() {
    is_upgraded_without_a_loss(&mut start("hyper_hello"));
}

/// With a stream of events that is told to end at each upgrade, and comes again.
#[test]
fn an_axum_service_with_state_and_server_sent_events() {
    let mut server = start("axum_hello");
    let mut events = Wire::connect(server.address());
    events.get("/ticks");
    events.wait_for("tick 0 of generation 1");
    server.upgrade();
    // The end of the chunks: an event stream has no other end.
    events.wait_for("\r\n0\r\n\r\n");
    let mut events = Wire::connect(server.address());
    events.get("/ticks");
    events.wait_for("tick 0 of generation 2");
    is_upgraded_without_a_loss(&mut server);
}

/// No line is lost: a client has the answer to every line that it sent before the goodbye, and then finds the next process.
#[test]
fn a_plain_tcp_line_server() {
    let mut server = start("line_server");
    for _ in 0..UPGRADES {
        let mut client = TcpStream::connect(server.address()).expect("it listens");
        let mut answers = BufReader::new(client.try_clone().expect("descriptors are left")).lines();
        let mut next = || answers.next().expect("an answer").expect("the connection is whole");
        for number in 0..10 {
            writeln!(client, "line {number}").expect("it is connected");
            assert_eq!(next(), format!("generation {}: line {number}", server.generation));
        }
        server.upgrade();
        assert_eq!(next(), "goodbye");
    }
}

/// A datagram that waits while the processes change places is answered by the next one.
#[test]
fn a_udp_socket_a_background_task_and_hooks() {
    let mut server = start("parts");
    let line = server.program.line("echo");
    let address = field(&line, "udp").expect("it says where").to_owned();
    let client = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("it is not zero");
    client.connect(address).expect("it is an address");
    let mut asked = 0;
    let mut answered = 0;
    for generation in 1..=UPGRADES {
        let mut answer = [0; 512];
        for _ in 0..10 {
            asked += 1;
            client.send(b"hello").expect("it is bound");
            let length = client.recv(&mut answer).expect("each datagram is answered");
            assert_eq!(String::from_utf8_lossy(&answer[..length]), format!("{generation}: hello"));
            answered += 1;
        }
        server.upgrade();
        server.program.line(&format!("the drain begins generation={generation}"));
        server.program.line(&format!("the end generation={generation}"));
    }
    assert_eq!(answered, asked);
    assert_eq!(Wire::connect(server.address()).ask("/").text(), "true\n");
    server.stop();
}
