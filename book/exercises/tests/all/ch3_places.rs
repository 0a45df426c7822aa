use std::collections::HashMap;
use std::os::fd::RawFd;

use exercises::ch3_places::{FIRST, SPARE, plan};

/// A descriptor table: what each number refers to, and whether it is closed by exec.
type Table = HashMap<RawFd, (String, bool)>;

/// Carries the plan out as the kernel would (dup2(2)), then looks at what an exec leaves.
fn after_exec(sources: &[RawFd]) -> Vec<Option<String>> {
    let mut table: Table = (3..10).map(|number| (number, (format!("file {number}"), true))).collect();
    for (old, new) in plan(sources) {
        let (file, _) = table.get(&old).unwrap_or_else(|| panic!("dup2({old}, {new}) says EBADF: {old} is not open"));
        assert!((FIRST..10).contains(&new) || new >= SPARE, "dup2({old}, {new}) would overwrite a standard stream");
        if old != new {
            table.insert(new, (file.clone(), false));
        }
    }
    let kept = |place: RawFd| table.get(&place).filter(|(_, cloexec)| !cloexec).map(|(file, _)| file.clone());
    (FIRST..).map(kept).take(sources.len()).collect()
}

fn wanted(sources: &[RawFd]) -> Vec<Option<String>> {
    sources.iter().map(|source| Some(format!("file {source}"))).collect()
}

#[test]
fn descriptors_from_elsewhere_get_to_their_places() {
    assert_eq!(after_exec(&[7, 8]), wanted(&[7, 8]));
}

#[test]
fn a_descriptor_that_is_in_its_place_already_survives_exec() {
    assert_eq!(after_exec(&[3]), wanted(&[3]), "dup2(3, 3) does nothing at all, and CLOEXEC is still set");
}

#[test]
fn two_that_want_each_others_place_both_get_there() {
    assert_eq!(after_exec(&[4, 3]), wanted(&[4, 3]), "the first dup2 closes what the second one needs");
}

#[test]
fn every_order_of_five_works() {
    for number in 0..5_u32.pow(5) {
        let sources: Vec<RawFd> = (0..5).map(|digit| 3 + (number / 5_u32.pow(digit) % 5).cast_signed()).collect();
        assert_eq!(after_exec(&sources), wanted(&sources), "for {sources:?}");
    }
}
