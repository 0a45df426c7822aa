//! One target under libFuzzer, which finds inputs by the code that they reach. `./run` builds it for that.

#![no_main]

use std::env;
use std::sync::LazyLock;

use fuzz::TARGETS;
use libfuzzer_sys::fuzz_target;

/// From the environment: libFuzzer starts itself again to minimise a corpus, and takes all arguments for its own.
static RUN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = env::var("FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|target| target.0 == name);
    found
        .unwrap_or_else(|| {
            panic!("FUZZ_TARGET={name:?} is none of {:?}", TARGETS.iter().map(|target| target.0).collect::<Vec<_>>())
        })
        .1
});

fuzz_target!(|bytes: &[u8]| RUN(bytes));
