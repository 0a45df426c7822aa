//! What one thing costs each request: a server with it beside one without.
//!
//! The invariant: both answer the same requests, in turn. Where a process finds its memory makes a difference, too, so both are
//! started anew several times.

use std::process::Command;

use crate::instructions;
use crate::measured::Measured;
use crate::pairs::pairs;
use crate::row::Row;
use crate::servers::Server;

/// How often the servers are started, and how many turns each then has.
const STARTS: usize = 5;
const TURNS: usize = 10;

/// The two servers.
pub(crate) struct Compared {
    /// How the keys of the rows begin.
    pub(crate) key: &'static str,
    /// What is counted, of one and of many.
    pub(crate) one: &'static str,
    pub(crate) many: &'static str,
    /// What is with the thing, and what is without.
    pub(crate) names: [&'static str; 2],
    pub(crate) commands: [Command; 2],
}

impl Compared {
    /// `per_second` is one turn: it asks the server at an address for a while.
    pub(crate) fn throughput(&mut self, per_second: impl Fn(&str) -> f64) -> [Row; 2] {
        let Compared { key, many, names: [with, without], .. } = *self;
        let mut turns = Vec::new();
        for _ in 0..STARTS {
            let servers = self.commands.each_mut().map(|command| Server::start(command, 1));
            let turn = |which: usize| per_second(&servers[which].address);
            turn(0);
            turn(1);
            turns.extend(pairs(TURNS, turn));
        }
        let ratios = turns.iter().map(|(with, without)| with / without);
        [
            Row::ratio(format!("{key}_throughput"), format!("{many}/s, {with} / {without}"), ratios).at_least(0.95),
            Row::per_second(
                format!("{key}_throughput_without"),
                format!("  {without}"),
                turns.iter().map(|(_, without)| *without),
            ),
        ]
    }

    /// `ask_often` asks the server at an address so many times.
    pub(crate) fn instructions(&self, ask_often: impl Fn(&str, u32)) -> Measured {
        let Compared { key, one, names: [with, without], .. } = *self;
        let counts = self.commands.each_ref().map(|command| instructions::per_request(command, &ask_often));
        let [Some(more), Some(less)] = counts else {
            return Measured::all([]).without([instructions::NO_VALGRIND.to_owned()]);
        };
        let what = format!("instructions for {one}, {with} / {without}");
        Measured::all([
            Row::ratio(format!("{key}_instructions"), what, [more / less]),
            Row::count(format!("{key}_instructions_without"), format!("  {without}"), [less]),
        ])
    }
}
