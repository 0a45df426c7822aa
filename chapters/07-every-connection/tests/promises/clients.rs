//! What clients say that others wrote: nothing is lost, and no connection is closed.
//!
//! The invariant: the verdict is theirs, and each of them has one connection from the first request to the last.

use std::process::Command;

use testkit::{Program, await_exit, require_program};

use crate::server::start;

/// How many upgrades at least find all the client's connections open.
const UPGRADES: usize = 10;

/// Upgrades for as long as the client runs, and returns what it says in the end.
fn upgraded_under(mut command: Command, connections: usize) -> String {
    let mut server = start(&[]);
    command.arg(format!("http://{}/", server.address()));
    let mut client = Program::start(&mut command);
    let (all, mut moved) = (format!("taken={connections} declined=0"), 0);
    while client.is_running() {
        await_exit(server.upgrade());
        moved += usize::from(server.program.line("connections taken over").contains(&all));
    }
    let verdict = client.wait_all();
    assert!(moved >= UPGRADES, "only {moved} upgrades had all its connections; it says:\n{verdict}");
    verdict
}

#[test]
fn h2load_loses_nothing() {
    let Some(h2load) = require_program("h2load", "nghttp2-client") else { return };
    let mut command = Command::new(h2load);
    // At a rate, so that it lasts for as long on a fast machine as on a slow one.
    command.args(["-n", "24000", "-c", "16", "-m", "8", "--rps", "200"]);
    let verdict = upgraded_under(command, 16);
    let all = "24000 total, 24000 started, 24000 done, 24000 succeeded, 0 failed, 0 errored, 0 timeout";
    assert!(verdict.contains(all) && verdict.contains("24000 2xx"), "{verdict}");
}

/// Eight at a time on one session, which it never opens again; a third of them with bodies.
const NODE: &str = r#"
const session = require("http2").connect(process.argv[1]);
session.on("goaway", () => { throw new Error("told to leave"); });
let asked = 0, answered = 0;
const generations = new Set();
function ask() {
    if (asked++ >= 15000) return;
    const length = asked % 3 ? 0 : asked % 40000;
    const stream = session.request(length ? { ":method": "POST", ":path": "/echo" } : { ":path": "/" });
    let got = 0;
    stream.on("response", (head) => generations.add(head["x-generation"]));
    stream.on("data", (bytes) => { got += bytes.length; });
    stream.on("end", () => {
        if (length && got !== length) throw new Error(`${got} of ${length} bytes`);
        if (++answered === 15000) {
            console.log(`answered ${answered} by ${generations.size}`);
            session.close();
        }
        ask();
    });
    if (length) stream.end(Buffer.alloc(length));
}
for (let i = 0; i < 8; i++) ask();
"#;

#[test]
fn node_loses_nothing() {
    let Some(node) = require_program("node", "nodejs") else { return };
    let mut command = Command::new(node);
    command.args(["-e", NODE]);
    let verdict = upgraded_under(command, 1);
    assert!(verdict.contains("answered 15000 by "), "{verdict}");
}
