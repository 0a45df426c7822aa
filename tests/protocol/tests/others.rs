//! What others do breaks the promise that the book says, in as few steps as the book says, and the mend that it names keeps it.

use protocol::others::{Counterexample, all};

#[track_caller]
fn breaks(name: &str, promise: &str, trace: &[&str]) {
    let (_, found, mended) = all().into_iter().find(|(other, ..)| *other == name).expect("it is one of them");
    let Counterexample { promise: broken, trace: steps } = found.expect("its promise is broken");
    assert_eq!(broken, promise);
    assert_eq!(steps, trace);
    assert_eq!(mended, None, "it is broken in spite of the mend");
}

#[test]
fn retiring_first_bets_the_service_on_a_program_that_was_never_tried() {
    breaks(
        "retire-first",
        "one process accepts in the end, whatever becomes of the new program",
        &[
            "The operator sends SIGUSR2. The old process stops accepting, and drains.",
            "The old process has drained. It starts the new program, and ends.",
            "The new program is a bad version, and exits.",
        ],
    );
}

#[test]
fn killing_the_parent_kills_a_script_and_leaves_two_servers() {
    breaks(
        "kill-parent",
        "only one process accepts in the end",
        &[
            "The operator installs a script that runs the new program, and sends SIGUSR2. The old process starts the script.",
            "The script starts the new program, and is its parent.",
            "The new process accepts, and sends SIGTERM to its parent: the script, which dies. The old process goes on accepting.",
        ],
    );
}

#[test]
fn a_queue_dies_with_its_socket_however_carefully_it_is_emptied() {
    breaks(
        "share-port",
        "a client that is connected gets an answer",
        &[
            "The new process binds the same port, and listens. The old one is told to stop.",
            "The old process has accepted every client in its queue: the next accept(2) finds none.",
            "A client connects. The kernel puts it into the queue of the old process.",
            "The old process closes its socket, and with it the queue. The kernel resets the client.",
        ],
    );
}

#[test]
fn ecdysis_remembers_an_upgrade_that_never_began() {
    breaks(
        "ecdysis",
        "a good program replaces the old one when it is asked for, unless an upgrade is under way",
        &[
            "A deployment goes wrong: for a moment, the program is not where it should be.",
            "The operator sends SIGUSR2. The process remembers that an upgrade is under way.",
            "The program cannot be started. The upgrade ends with an error, and the process does not forget it.",
            "The program is back in its place.",
            "The operator sends SIGUSR2. The process refuses: “Already in upgrade”.",
        ],
    );
}

#[test]
fn nginx_refuses_the_next_binary_while_the_last_one_lives() {
    breaks(
        "nginx",
        "the newest process can be replaced once it serves",
        &[
            "The operator installs a version, and sends SIGUSR2. The old master starts a new one.",
            "The new master starts its workers. Both versions accept, until the operator ends one of them.",
            "The operator installs another version, and sends SIGUSR2 to the new master, which ignores it: its parent lives.",
        ],
    );
}
