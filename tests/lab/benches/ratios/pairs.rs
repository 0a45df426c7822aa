//! Two things that are compared take turns.
//!
//! The invariant: the turns of a pair follow each other, and neither is always the first; so whatever else the machine does falls
//! on both.

/// So many pairs of turns, each first that of the thing 0.
pub(crate) fn pairs<T>(count: usize, mut turn: impl FnMut(usize) -> T) -> Vec<(T, T)> {
    let mut pair = |number| {
        if number % 2 == 0 {
            let first = turn(0);
            (first, turn(1))
        } else {
            let second = turn(1);
            (turn(0), second)
        }
    };
    (0..count).map(&mut pair).collect()
}
