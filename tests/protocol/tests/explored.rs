//! No invariant is broken in any world that can be reached. `cargo run --release -p protocol` explores more of them.

use protocol::explore::{explore, has_no_cycle};
use protocol::model::Limits;
use protocol::rules::Rules;

#[track_caller]
fn holds(limits: Limits, rules: Rules) {
    let explored = explore(limits, &rules);
    assert!(explored.broken.is_none(), "{:?} in {limits:?}: {:#?}", rules, explored.broken);
}

const SMALL: Limits = Limits { generations: 2, crashes: 1, stops: 1, rejections: 1, clients: 1 };

#[test]
fn with_a_crash_between_any_two_actions() {
    holds(SMALL, Rules::REAL);
    holds(Limits { generations: 3, clients: 0, ..SMALL }, Rules::REAL);
}

#[test]
fn with_three_generations_and_a_client() {
    holds(Limits { generations: 3, ..SMALL }, Rules { at_once: true, ..Rules::REAL });
}

#[test]
fn with_two_crashes_and_two_stops() {
    holds(Limits { generations: 3, crashes: 2, stops: 2, clients: 0, ..SMALL }, Rules { at_once: true, ..Rules::REAL });
}

/// As chapter 4 does, without the two chapters after it.
#[test]
fn without_probation_and_handover() {
    let rules = Rules { probation: false, handover: false, at_once: true, ..Rules::REAL };
    holds(Limits { generations: 3, rejections: 0, ..SMALL }, rules);
}

#[test]
fn with_an_init_supervisor() {
    let supervised = Rules { supervised: true, ..Rules::REAL };
    holds(Limits { clients: 0, stops: 2, ..SMALL }, supervised);
    let rules = Rules { at_once: true, ..supervised };
    holds(Limits { generations: 3, crashes: 2, clients: 0, ..SMALL }, rules);
    holds(Limits { generations: 3, rejections: 0, ..SMALL }, rules);
}

/// So what must be true in the end comes true: nothing can go on for ever without help from outside.
#[test]
fn what_happens_without_help_from_outside_comes_to_an_end() {
    assert!(has_no_cycle(SMALL, &Rules::REAL));
    assert!(has_no_cycle(Limits { generations: 3, clients: 0, ..SMALL }, &Rules { at_once: true, ..Rules::REAL }));
}
