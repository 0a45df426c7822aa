//! A connection that moves from process to process, at moments that the input chooses: the answers are those of hyper alone.
//!
//! What the client sends, in pieces. Behind each there is 0xFF, and a byte that says what happens then.

#[path = "../../../../chapters/05-connection-handover/tests/gate_fuzz/run.rs"]
mod run;
#[path = "../../../../chapters/05-connection-handover/tests/gate_fuzz/service.rs"]
mod service;
#[path = "../../../../chapters/05-connection-handover/tests/gate_fuzz/wire.rs"]
mod wire;

use run::{Case, Step, check};

pub(crate) fn run(bytes: &[u8]) {
    let mut pieces = vec![(Vec::new(), Vec::new())];
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == 0xFF) {
        let (piece, behind) = rest.split_at(end);
        let (what, behind) = behind[1..].split_first().unwrap_or((&0, &[]));
        match pieces.last_mut() {
            // Nothing came in between.
            Some((_, steps)) if piece.is_empty() => steps.push(step(*what)),
            _ => pieces.push((piece.to_vec(), vec![step(*what)])),
        }
        rest = behind;
    }
    pieces.push((rest.to_vec(), Vec::new()));
    check("this input", &Case(pieces), &mut fastrand::Rng::with_seed(0));
}

/// Letters for what the server does, numbers for what the client takes.
fn step(what: u8) -> Step {
    match what {
        b'h' => Step::Hold,
        b'm' => Step::Move { polls_old: false },
        b'M' => Step::Move { polls_old: true },
        b'r' => Step::Release,
        b'p' => Step::Poll,
        b'e' => Step::End,
        b't' => Step::Tick(10_000),
        few => Step::Tick(usize::from(few)),
    }
}
