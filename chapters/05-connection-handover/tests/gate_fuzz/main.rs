//! hyper over a gate, handed over at random moments, against hyper alone: the same bytes in the same pieces must bring
//! the same answers, and the same requests to the handlers.
//!
//! `GATE_FUZZ_CASES` says how many cases to run, `GATE_FUZZ_SEED` which one to begin with. `tests/fuzz` runs cases that are
//! not random.

mod requests;
mod run;
mod service;
mod wire;

use std::env;
use std::time::{Duration, Instant};

use requests::{chunks, pick, request};
use run::{Case, Run, Step, check, tick};
use wire::locked;

fn case(rng: &mut fastrand::Rng) -> Case {
    let mut bytes = Vec::new();
    for number in 0..rng.usize(1..6) {
        if rng.u8(..) < 30 {
            bytes.extend_from_slice(pick(rng, &[&b"\r\n"[..], b"\r\n\r\n", b"\n", b"\r"]));
        }
        request(rng, number, &mut bytes);
        if number == 0 && rng.u8(..) < 80 {
            // Most clients repeat the same request.
            bytes = bytes.repeat(rng.usize(1..8));
        }
        if rng.u8(..) < 4 {
            // An accident.
            let at = rng.usize(..bytes.len());
            match rng.u8(..4) {
                0 => bytes[at] = pick(rng, b"\r\n :\0a5;,"),
                1 => bytes.insert(at, pick(rng, b"\r\n :\0a5;,")),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
    }
    if rng.u8(..) < 40 {
        bytes.extend_from_slice(pick(rng, &[&b"GET /half"[..], b"\r\n", b"\r", b"POST / HTTP/1.1\r\nContent-Le"]));
    }
    let mut pieces = Vec::new();
    let size = bytes.len() / pick(rng, &[300, 100, 30, 10, 4, 2, 1]) + 1;
    let eager = pick(rng, &[20, 100, 250]);
    while !bytes.is_empty() {
        let rest = bytes.split_off(rng.usize(1..=size).min(bytes.len()));
        let mut steps = moves(rng, eager);
        steps.push(Step::Poll);
        steps.extend(moves(rng, eager));
        for _ in 0..rng.u8(..3) {
            steps.push(tick(rng));
            steps.extend(moves(rng, eager));
        }
        pieces.push((bytes, steps));
        bytes = rest;
    }
    let mut steps = if rng.u8(..) < 20 { vec![Step::End] } else { Vec::new() };
    for _ in 0..20 {
        steps.extend(moves(rng, eager));
        steps.push(Step::Tick(100_000));
    }
    pieces.push((Vec::new(), steps));
    Case(pieces)
}

/// What the server wants at a moment, if it wants anything.
fn moves(rng: &mut fastrand::Rng, eager: u8) -> Vec<Step> {
    let steps = [
        (rng.u8(..) < eager).then_some(Step::Hold),
        rng.bool().then_some(Step::Poll),
        Some(Step::Move { polls_old: rng.bool() }),
        (rng.u8(..) < 30).then_some(Step::Release),
    ];
    steps.into_iter().flatten().collect()
}

/// Runs cases until time or number is up.
fn fuzz(what: &str, mut check: impl FnMut(u64) -> usize) {
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let first = number("GATE_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..1 << 40));
    let (cases, begin, mut ran, mut count) = (number("GATE_FUZZ_CASES"), Instant::now(), 0, 0);
    while cases.map_or(begin.elapsed() < Duration::from_millis(1500), |cases| ran < cases) {
        count += check(first + ran);
        ran += 1;
    }
    println!("{ran} cases from seed {first}, {count} {what}, {:?}", begin.elapsed());
}

#[test]
fn a_connection_that_moves_gets_the_answers_of_one_that_stays() {
    let mut late = 0;
    fuzz("moves", |seed| {
        let mut rng = fastrand::Rng::with_seed(seed);
        let case = case(&mut rng);
        let (moves, depends) = check(&format!("seed {seed}"), &case, &mut rng);
        late += usize::from(depends);
        moves
    });
    println!("{late} of them depended on the time");
}

/// A client that pipelines sends until it is told to stop.
fn check_polite_close(seed: u64) -> usize {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for number in 0..rng.usize(1..6) {
        let (method, answer) = (pick(&mut rng, &["GET", "POST", "HEAD"]), pick(&mut rng, &['f', 'e', 'c', 'w']));
        let delay = rng.u8(..3);
        let mut body = vec![b'x'; if method == "POST" { rng.usize(..50) } else { 0 }];
        let mut head = format!("{method} /{answer}/a/{delay}/{number} HTTP/1.1\r\n");
        if rng.bool() {
            head.extend(["content-length: ", &body.len().to_string(), "\r\n\r\n"]);
        } else if method == "POST" {
            head.push_str("transfer-encoding: chunked\r\n\r\n");
            body = chunks(&mut fastrand::Rng::with_seed(0), &body);
        } else {
            head.push_str("\r\n");
        }
        bytes.extend_from_slice(head.as_bytes());
        bytes.append(&mut body);
        ends.push(bytes.len());
    }
    let (mut run, close_at, mut sent) = (Run::new(true), rng.usize(..bytes.len()), 0);
    locked(&run.wire).window = usize::MAX;
    let says_close = |run: &Run| {
        let wire = locked(&run.wire);
        String::from_utf8_lossy(&[&wire.received[..], &wire.written].concat()).contains("connection: close")
    };
    while sent < bytes.len() && !says_close(&run) {
        let piece = rng.usize(1..=bytes.len().div_ceil(3)).min(bytes.len() - sent);
        run.send(&bytes[sent..sent + piece]);
        sent += piece;
        if sent >= close_at {
            run.control.as_ref().expect("there is a gate").close_politely();
        }
        for _ in 0..rng.u8(..5) {
            run.tick(0);
        }
    }
    (0..30).for_each(|_| run.tick(0));
    let (received, _, closed) = run.outcome();
    let (answers, complete) =
        (received.matches("HTTP/1.1 200").count(), ends.iter().filter(|end| **end <= sent).count());
    let what = format!("seed {seed}: {:?}\n{received:?}", String::from_utf8_lossy(&bytes[..sent]));
    assert_eq!(answers, complete, "each request that was sent is answered: {what}");
    assert_eq!(closed, says_close(&run), "the connection ends behind the answer that says so: {what}");
    if closed {
        assert!(ends.contains(&sent), "the client had begun another request: {what}");
        assert_eq!(received.matches("connection: close").count(), 1, "{what}");
    }
    usize::from(closed)
}

#[test]
fn a_polite_close_loses_no_request() {
    fuzz("closed", check_polite_close);
}
