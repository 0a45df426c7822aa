//! What our server costs a request.
//!
//! The invariant: ours and the plain one take turns (see [`crate::pairs`]). Both are started anew several times: where a
//! process finds its memory makes a difference, too.

use std::time::{Duration, Instant};

use crate::closed_loop::{ClosedLoop, Mode};
use crate::measured::Measured;
use crate::pairs::pairs;
use crate::process::cpu_time;
use crate::row::Row;
use crate::servers::{Binaries, Server};

/// How often the servers are started, and how many turns each then has. Three percent are hard to see on a machine that
/// is shared with others, as virtual ones are: it takes hundreds of pairs.
const STARTS_KEEP_ALIVE: usize = 20;
const STARTS_PER_REQUEST: usize = 8;
const TURNS: usize = 10;

/// Long enough for thousands of requests, short enough that the machine is mostly the same for two of them.
const TURN: Duration = Duration::from_millis(100);

/// The result of one turn.
struct Turn {
    per_second: f64,
    cpu_per_request: Duration,
}

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let modes = [
        (Mode::KeepAlive, STARTS_KEEP_ALIVE, "throughput_keep_alive", "32 keep-alive connections"),
        (Mode::PerRequest, STARTS_PER_REQUEST, "throughput_per_request", "a connection per request"),
    ];
    let rows = modes.into_iter().flat_map(|mode| {
        let ours = in_mode(binaries, mode, ("", "ours", Binaries::ours));
        ours.into_iter().chain(in_mode(binaries, mode, ("_polite", "chapter 4's", Binaries::polite)))
    });
    Measured::all(rows)
}

/// A server that is compared: how its keys end, whose it is, and how it is started.
type Compared = (&'static str, &'static str, fn(&Binaries) -> Server);

/// A way to ask, how often the servers are started for it, its key, and its name.
type Asked = (Mode, usize, &'static str, &'static str);

fn in_mode(binaries: &Binaries, (mode, starts, key, name): Asked, (end, whose, start): Compared) -> Vec<Row> {
    let key = format!("{key}{end}");
    let pairs: Vec<_> = (0..starts).flat_map(|_| turns(binaries, mode, start)).collect();
    let [ours, plain] = [|pair: &(Turn, Turn)| pair.0.per_second, |pair: &(Turn, Turn)| pair.1.per_second];
    let cpu = |(ours, plain): &(Turn, Turn)| ours.cpu_per_request.div_duration_f64(plain.cpu_per_request);
    let ratios = pairs.iter().map(|pair| ours(pair) / plain(pair));
    let plain_cpu = pairs.iter().map(|pair| pair.1.cpu_per_request);
    vec![
        Row::ratio(&key, format!("{name}: requests/s, {whose} / plain"), ratios).at_least(0.97),
        Row::ratio(format!("{key}_cpu"), format!("{name}: CPU per request, {whose} / plain"), pairs.iter().map(cpu)),
        Row::per_second(format!("{key}_plain"), "  plain hyper: requests/s", pairs.iter().map(plain)),
        Row::micros(format!("{key}_plain_cpu"), "  plain hyper: CPU per request", plain_cpu),
    ]
}

/// Turns of ours and of the plain one.
fn turns(binaries: &Binaries, mode: Mode, start: fn(&Binaries) -> Server) -> Vec<(Turn, Turn)> {
    let servers = [start(binaries), binaries.plain()];
    let mut clients = servers.each_ref().map(|server| ClosedLoop::new(&server.address, mode));
    for client in &mut clients {
        client.run(TURN);
    }
    pairs(TURNS, |which| turn(&servers[which], &mut clients[which]))
}

fn turn(server: &Server, client: &mut ClosedLoop) -> Turn {
    let (began, cpu) = (Instant::now(), cpu_time(server.serving));
    let answers = client.run(TURN);
    let per_second = f64::from(answers) / began.elapsed().as_secs_f64();
    Turn { per_second, cpu_per_request: cpu_time(server.serving).saturating_sub(cpu) / answers }
}
