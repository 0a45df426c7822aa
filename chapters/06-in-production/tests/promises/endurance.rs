//! One upgrade after the other under load, with everything that goes wrong mixed in: broken versions, successors that are killed,
//! signals that mean nothing. `UPGRADES=1000 cargo test -p graceful endurance` takes longer than the default.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use testkit::load::Plan;
use testkit::{Census, Deployment, Generations, await_exit, children, hold, let_go, wait_until};

use crate::server::{deployment, upgrades};

const CLIENTS: u32 = 8;

/// Versions that never become ready.
const BROKEN: [&str; 4] = ["exit 7", "exec /nowhere", "kill -9 $$", "echo no server >&2"];

#[test]
fn faults_among_many_upgrades_cost_only_what_a_killed_process_had() {
    let upgrades = usize::try_from(upgrades(40)).expect("it is not that large");
    let deployment = deployment();
    let pid_file = deployment.path().join("pid");
    let mut server = deployment.start(&["--pid-file", pid_file.to_str().expect("UTF-8")]);
    let (files, descriptors) = (names(deployment.path()), open(&server));

    let load = Plan::new(server.address()).connections(CLIENTS).think(Duration::ZERO..Duration::from_millis(5)).start();
    load.wait_until_warm();
    let mut kills = 0;
    for number in 0..upgrades {
        for meaningless in [Signal::SIGWINCH, Signal::SIGCONT, Signal::SIGURG, Signal::SIGCHLD] {
            server.signal(meaningless);
        }
        match number % 20 {
            7 => {
                kill_the_successor(&mut server);
                kills += 1;
            }
            0 | 5 | 10 | 15 => fail(&mut server, &deployment, BROKEN[number / 5 % BROKEN.len()]),
            _ => {
                await_exit(server.upgrade());
            }
        }
        load.wait_for_answers(CLIENTS.into());
    }
    let tally = load.stop();

    println!("{} of {} requests lost with {kills} processes", tally.lost, tally.requests);
    let most = kills * u64::from(CLIENTS);
    assert_eq!(tally.refused, 0, "{}", tally.describe_losses());
    assert!(
        tally.lost <= most,
        "{} lost, of {most} on connections of a killed process: {}",
        tally.lost,
        tally.describe_losses()
    );
    assert!(tally.closed_unannounced <= most, "{tally:#?}");
    wait_until("as many descriptors are open as in the beginning", || open(&server) == descriptors);
    assert!(children(server.serving).is_empty(), "no process is left of an upgrade");
    assert_eq!(
        names(deployment.path()).difference(&files).collect::<Vec<_>>(),
        ["script"; 1],
        "the last broken version's"
    );
    server.stop();
    server.program.wait_all();
    assert!(!pid_file.exists(), "the pid file should go with the server");
}

fn fail(server: &mut Generations, deployment: &Deployment, script: &str) {
    deployment.put_script(script);
    server.upgrade_in_vain();
    deployment.put_binary();
}

/// Ends a successor as soon as it accepts, while the old process still owes an answer; the old process serves on.
fn kill_the_successor(server: &mut Generations) {
    let held = hold(server.address());
    let old = server.upgrade();
    kill(server.serving, Signal::SIGKILL).expect("it has just said that it listens");
    server.program.line("upgrade failed");
    (server.serving, server.generation) = (old, server.generation - 1);
    let_go(held);
}

fn open(server: &Generations) -> usize {
    Census::of(server.serving).descriptors.len()
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).expect("our own directory");
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}
