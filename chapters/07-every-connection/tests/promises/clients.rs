//! What clients say that others wrote: nothing is lost, and no connection is closed.
//!
//! The invariant: the verdict is theirs, and each of them has the same connections from the first generation to the last.
//!
//! Each but h2load is a program that is given an address and a generation. It asks until that one has answered; it says
//! when one has answered first, and in the end, how often it was answered. It ends at once when anything is wrong.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use testkit::{End, Generations, Program, await_exit, connected, example, require, require_program};

use crate::server::{BINARY, start, start_other, upgrades};

/// Each is busy all the time. Among several of them, one may have no processor for half a second, so that its streams do not end;
/// and then it is told to leave, as it should be.
static ALONE: Mutex<()> = Mutex::new(());

/// Upgrades, and asserts that the successor has taken over these connections, and that there are no others. A stream that does
/// not end in half a second would keep its connection: so the clients' bodies fit into a window, and wait for nothing.
#[track_caller]
fn upgrade(server: &mut Generations, connections: &BTreeSet<String>) {
    await_exit(server.upgrade());
    let line = server.program.line("connections taken over");
    let all = format!("taken={} declined=0", connections.len());
    assert!(line.contains(&all), "generation {}: {line}", server.generation);
    let now = connected(server.address());
    assert!(now.is_subset(connections), "there are new ones: {now:?}, and there were {connections:?}");
}

/// Upgrades a server under a client that has one connection.
#[track_caller]
fn loses_nothing(mut server: Generations, command: &mut Command) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let last = server.generation + u64::from(upgrades());
    let mut client = Program::start(command.args([server.address(), &last.to_string()]));
    client.line("generation 1 answers");
    let connections = connected(server.address());
    assert_eq!(connections.len(), 1, "{connections:?}");
    while server.generation < last {
        upgrade(&mut server, &connections);
        client.line(&format!("generation {} answers", server.generation));
    }
    let (end, said) = (client.wait(), client.wait_all());
    assert_eq!(end, End::Exited(0), "{said}");
    assert_eq!(said.matches("generation ").count(), upgrades() as usize + 1, "{said}");
    println!("{} by {last} generations", said.lines().last().unwrap_or_default());
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promises/clients").join(name)
}

/// Python with this script, if it finds this package.
pub(crate) fn python(package: &str, name: &str) -> Option<Command> {
    let python = require_program("python3", "python3")?;
    with_package(&python, ["-c", &format!("import {package}")], name)
}

/// Node with this script, if it finds this package.
pub(crate) fn node(package: &str, name: &str) -> Option<Command> {
    let node = require_program("node", "nodejs")?;
    with_package(&node, ["-e", &format!("require('{package}')")], name)
}

fn with_package(interpreter: &Path, imports: [&str; 2], name: &str) -> Option<Command> {
    let found = Command::new(interpreter).args(imports).output().expect("it was just found");
    let missing = format!("`{}` fails: .ci/run shows how the package is installed", imports[1]);
    let mut command = Command::new(interpreter);
    command.arg(script(name));
    require(found.status.success(), &missing).then_some(command)
}

#[test]
fn node_loses_nothing() {
    let Some(node) = require_program("node", "nodejs") else { return };
    loses_nothing(start(&[]), Command::new(node).arg(script("node.js")));
}

#[test]
fn libcurl_loses_nothing() {
    let Some(mut python) = python("pycurl", "with_pycurl.py") else { return };
    loses_nothing(start(&[]), &mut python);
}

#[test]
fn httpx_loses_nothing() {
    let Some(mut python) = python("httpx, h2", "with_httpx.py") else { return };
    loses_nothing(start(&[]), &mut python);
}

#[test]
fn go_loses_nothing() {
    let files = tempfile::tempdir().expect("there is room");
    let Some(mut client) = crate::go::client(&files) else { return };
    loses_nothing(start(&[]), &mut client);
}

fn start_grpc() -> Generations {
    start_other(&example(BINARY, "grpc"), &[])
}

#[test]
fn tonic_loses_nothing() {
    loses_nothing(start_grpc(), &mut Command::new(example(BINARY, "grpc_client")));
}

#[test]
fn grpcio_loses_nothing() {
    let Some(mut python) = python("grpc", "with_grpcio.py") else { return };
    loses_nothing(start_grpc(), &mut python);
}

/// It names no generations, and asks for as many answers as it was told.
#[test]
fn h2load_loses_nothing() {
    const CONNECTIONS: usize = 16;
    let Some(h2load) = require_program("h2load", "nghttp2-client") else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut server = start(&[]);
    // At a rate, so that it lasts for as long on a fast machine as on a slow one: half a second for each upgrade.
    let requests = 1_600 * upgrades();
    let mut command = Command::new(h2load);
    command.args(["-n", &requests.to_string(), "-c", "16", "-m", "8", "--rps", "200"]);
    let mut client = Program::start(command.arg(format!("http://{}/", server.address())));
    let mut connections = BTreeSet::new();
    while connections.len() < CONNECTIONS {
        assert!(client.is_running(), "it ended with {connections:?}:\n{}", client.output());
        connections = connected(server.address());
    }
    while client.is_running() {
        if server.generation <= u64::from(upgrades()) {
            upgrade(&mut server, &connections);
        } else {
            // It may end meanwhile.
            await_exit(server.upgrade());
        }
    }
    let verdict = client.wait_all();
    let succeeded = format!("{requests} done, {requests} succeeded, 0 failed, 0 errored, 0 timeout");
    assert!(verdict.contains(&succeeded) && verdict.contains(&format!("{requests} 2xx")), "{verdict}");
    assert!(server.generation > u64::from(upgrades()), "it ended early:\n{verdict}");
    println!("answered={requests} on {CONNECTIONS} connections by {} generations", server.generation);
}
