//! Many signals at once.

use lab::load::Plan;
use nix::sys::signal::{Signal, kill, killpg};

use crate::server::{Server, get};

#[test]
fn a_burst_of_upgrade_signals_leaves_one_server_and_loses_nothing() {
    let mut server = Server::start(&[]);
    let load = Plan::new(server.address()).connections(8).start();
    load.wait_until_warm();
    for _ in 0..5 {
        // To every generation that is there, at whatever moment of its life.
        for _ in 0..5 {
            killpg(server.program.pid(), Signal::SIGUSR2).expect("the group is there");
        }
        load.wait_for_answers(50);
    }
    load.stop().assert_nothing_lost();

    // One more, asked for by one signal to the one that serves: whoever that is, it answers everybody.
    let serving: i32 = get(server.address(), "/").split(['d', ',']).nth(1).unwrap().trim().parse().unwrap();
    kill(nix::unistd::Pid::from_raw(serving), Signal::SIGTERM).unwrap();
    // If there were two, one would serve on and hold the log open.
    server.program.wait_all();
}

#[test]
fn a_burst_of_all_signals_ends_everything() {
    let mut server = Server::start(&[]);
    for signal in [Signal::SIGUSR2, Signal::SIGUSR2, Signal::SIGTERM, Signal::SIGUSR2, Signal::SIGINT, Signal::SIGTERM]
    {
        // The group may be gone already.
        let _ = killpg(server.program.pid(), signal);
    }
    server.program.wait_all();
}
