//! What clients say that others wrote: nothing is lost, and no connection is closed.
//!
//! The invariant: the verdict is theirs, and it names one connection.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use testkit::{End, Program, await_exit, example, require_program};

use crate::client::{answer, ask};
use crate::server::{BINARY, Server, rustls};

/// How many upgrades at least find the client's connection open. `UPGRADES=100` tries as many.
pub(crate) fn upgrades() -> usize {
    std::env::var("UPGRADES").ok().map_or(20, |upgrades| upgrades.parse().expect("UPGRADES is a number"))
}

/// Each is busy all the time. Among several of them, one may have no processor for half a second, and its connection then stays.
static ALONE: Mutex<()> = Mutex::new(());

/// Upgrades for as long as the client runs, and returns what it says in the end.
fn upgraded_under(server: &mut Server, command: &mut Command, connections: usize) -> String {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut client, mut moved) = (Program::start(command), 0);
    while client.is_running() {
        moved += usize::from(server.replace() == connections);
    }
    let verdict = client.wait_all();
    assert!(moved >= upgrades(), "only {moved} upgrades had all its connections; it says:\n{verdict}");
    verdict
}

/// curl with these options, which asks one request after another and says of each what it was; most are under way when an upgrade
/// begins.
pub(crate) fn asking_curl(server: &Server, options: &[&str], requests: usize) -> Option<Command> {
    let mut command = Command::new(require_program("curl", "curl")?);
    let (mut config, address) = (String::new(), server.address());
    for number in 0..requests {
        let path = if number % 10 == 0 { "stream?chunks=9&interval=3ms" } else { "sleep/?duration=20ms" };
        let said = "connects=%{num_connects} version=%{http_version} status=%{http_code}\\n";
        write!(config, "url = https://{address}/{path}\noutput = /dev/null\nwrite-out = \"{said}\"\n")
            .expect("a string");
    }
    std::fs::write(server.file("curl"), config).expect("there is room");
    command.args(["--silent", "--show-error", "--fail"]).args(options).arg("--cacert").arg(server.certificate());
    command.arg("--config").arg(server.file("curl"));
    Some(command)
}

/// It has one connection.
fn curl(version: &str, answers: &str) {
    let Some(mut server) = Server::start() else { return };
    let requests = 20 * upgrades();
    let Some(mut command) = asking_curl(&server, &[version], requests) else { return };
    let verdict = upgraded_under(&mut server, &mut command, 1);
    let (first, rest) = (format!("connects=1 {answers} status=200"), format!("connects=0 {answers} status=200"));
    let count = |line: &str| verdict.lines().filter(|said| *said == line).count();
    assert_eq!((count(&first), count(&rest)), (1, requests - 1), "{verdict}");
    server.ends_well();
}

#[test]
fn curl_with_http1_has_one_connection() {
    curl("--http1.1", "version=1.1");
}

#[test]
fn curl_with_http2_has_one_connection() {
    curl("--http2", "version=2");
}

#[track_caller]
fn h2load_loses_nothing(server: impl FnOnce() -> Option<Server>) {
    let Some(h2load) = require_program("h2load", "nghttp2-client") else { return };
    let Some(mut server) = server() else { return };
    let mut command = Command::new(h2load);
    let requests = 800 * upgrades();
    command.args(["-n", &requests.to_string(), "-c", "16", "-m", "4", "--rps", "100"]);
    command.arg(format!("https://{}/", server.address()));
    let verdict = upgraded_under(&mut server, &mut command, 16);
    let all =
        format!("{requests} total, {requests} started, {requests} done, {requests} succeeded, 0 failed, 0 errored");
    assert!(verdict.contains(&all) && verdict.contains("TLSv1.3"), "{verdict}");
    server.ends_well();
}

#[test]
fn h2load_has_all_its_connections() {
    h2load_loses_nothing(Server::start);
}

#[test]
fn h2load_has_all_its_connections_to_another_server() {
    h2load_loses_nothing(|| Server::start_by(Command::new(example(BINARY, "listener"))));
}

/// Every third request has a body of up to 300,000 bytes. The close has to be answered with one (`unwrap`).
const PYTHON: &str = r#"
import http.client, ssl, sys
host, port = sys.argv[1].split(":")
client = http.client.HTTPSConnection(host, int(port), context=ssl.create_default_context(cafile=sys.argv[2]))
client.connect()
socket, generations = client.sock, set()
for number in range(int(sys.argv[3])):
    if number % 3:
        client.request("GET", "/sleep/?duration=4ms")
    else:
        body = bytes([number % 256]) * (number % 1500 * 200)
        client.request("POST", "/echo", body)
    answer = client.getresponse()
    got = answer.read()
    assert answer.status == 200 and (number % 3 or got == body), (number, answer.status, len(got))
    generations.add(answer.headers["x-generation"])
    assert client.sock is socket, "it had to connect again"
print("answered by", len(generations), "version", socket.version())
socket.unwrap()
print("closed")
"#;

#[test]
fn python_has_one_connection_and_closes_it_in_order() {
    let Some(python) = require_program("python3", "python3") else { return };
    let Some(mut server) = Server::start() else { return };
    let mut command = Command::new(python);
    command.args(["-c", PYTHON, &server.address()]).arg(server.certificate()).arg((75 * upgrades()).to_string());
    let verdict = upgraded_under(&mut server, &mut command, 1);
    assert!(verdict.contains("version TLSv1.3") && verdict.contains("closed"), "{verdict}");
    server.ends_well();
}

/// Go with this version of HTTP.
fn go(version: &str, answers: &str) {
    let files = tempfile::tempdir().expect("there is room");
    let Some(mut command) = crate::go::client(&files) else { return };
    let Some(mut server) = Server::start() else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let last = upgrades() + 1;
    command.args([&server.address(), &last.to_string()]).arg(server.certificate()).arg(version);
    let mut client = Program::start(&mut command);
    client.line(&format!("generation 1 answers over {answers}"));
    for generation in 2..=last {
        assert_eq!(server.replace(), 1);
        client.line(&format!("generation {generation} answers"));
    }
    let (end, said) = (client.wait(), client.wait_all());
    assert_eq!(end, End::Exited(0), "{said}");
    server.ends_well();
}

#[test]
fn go_with_http1_has_one_connection() {
    go("1", "HTTP/1.1");
}

#[test]
fn go_with_http2_has_one_connection() {
    go("2", "HTTP/2.0");
}

/// In every generation, the first request is half there when the process changes, and the keys change before, in and after.
#[test]
fn rustls_has_one_connection_and_changes_its_keys() {
    let Some(mut server) = Server::start() else { return };
    let mut client = rustls(&server.generations, &server.files);
    for generation in 1..=upgrades() {
        assert!(ask(&mut client).ends_with(&format!(" generation {generation}\n")));
        client.conn.refresh_traffic_keys().expect("the handshake is over");
        client.write_all(b"GET / HTTP/1.1\r\nHo").expect("it is open");
        client.flush().expect("it is open");
        assert_eq!(server.replace(), 1);
        client.conn.refresh_traffic_keys().expect("the handshake is over");
        client.write_all(b"st: lab\r\n\r\n").expect("it is open");
        assert!(answer(&mut client).ends_with(&format!(" generation {}\n", generation + 1)));
    }
    client.conn.send_close_notify();
    client.flush().expect("it is open");
    assert_eq!(client.read(&mut [0]).expect("the close is answered with one"), 0);
    drop(client);
    server.ends_well();
}

#[test]
fn a_client_in_its_handshake_is_waited_for_and_goes() {
    let Some(mut server) = Server::start() else { return };
    let mut client = rustls(&server.generations, &server.files);
    let mut hello = Vec::new();
    client.conn.write_tls(&mut hello).expect("it is memory");
    let (now, later) = hello.split_at(hello.len() / 2);
    client.sock.write_all(now).expect("it listens");
    // Its half of a hello must be read before the process is told to go, not accepted by the next one.
    let mut accepted = rustls(&server.generations, &server.files);
    assert!(ask(&mut accepted).ends_with(" generation 1\n"));
    let old = server.generations.upgrade();
    client.sock.write_all(later).expect("it is open");
    while client.conn.is_handshaking() {
        client.conn.complete_io(&mut client.sock).expect("the handshake goes on");
    }
    await_exit(old);
    for mut client in [client, accepted] {
        assert!(ask(&mut client).ends_with(" generation 2\n"));
    }
    server.ends_well();
}

/// A successor with so few descriptors takes no connection. The old process goes on with the keys that it has offered.
#[test]
fn a_connection_that_was_declined_is_answered_where_it_was() {
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 70; exec "$@""#, "sh", BINARY]);
    let Some(mut server) = Server::start_by(command) else { return };
    let mut client = rustls(&server.generations, &server.files);
    ask(&mut client);
    let old = server.generations.upgrade();
    server.generations.program.line("connections are left to the old process");
    assert!(ask(&mut client).ends_with(" generation 1\n"));
    assert_eq!(client.read(&mut [0]).expect("it is closed in order"), 0);
    client.conn.send_close_notify();
    client.flush().expect("our side is open");
    drop(client);
    await_exit(old);
    server.ends_well();
}

#[test]
fn a_client_that_speaks_no_tls_gets_an_alert_and_no_answer() {
    let Some(server) = Server::start() else { return };
    let mut client = TcpStream::connect(server.address()).expect("it listens");
    client.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").expect("it is open");
    let mut said = Vec::new();
    // `Err`: it is reset, as there is something that was not read.
    let _ = client.read_to_end(&mut said);
    assert!(said.is_empty() || said[0] == 21, "{said:?}");
    server.ends_well();
}
