//! Processors that do not fall asleep.
//!
//! The invariant: any other thread that wants a processor gets it at once; what keeps it busy runs only where no other
//! thread would (SCHED_IDLE, sched(7)).
//!
//! A processor without work halts. Waking it takes longer than most ways from a signal to code, and on a virtual
//! machine longer than all of them together. How much longer depends on the machine and on what else it has to do. With
//! its processors awake, what is left is what the way costs.

use std::hint::spin_loop;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, spawn};

use nix::libc::{SCHED_IDLE, sched_param, sched_setscheduler};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A thread on each processor. They stop when this is dropped.
pub(crate) struct Awake {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Awake {
    pub(crate) fn keep() -> Awake {
        let stop = Arc::new(AtomicBool::new(false));
        let ours = sched_getaffinity(None).expect("a thread may ask where it runs");
        let start = |processor| {
            let stop = Arc::clone(&stop);
            spawn(move || stay_on(processor, &stop))
        };
        let threads = (0..CpuSet::MAX_CPU).filter(|processor| ours.is_set(*processor)).map(start).collect();
        Awake { stop, threads }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn stay_on(processor: usize, stop: &AtomicBool) {
    let mut only = CpuSet::new();
    only.set(processor);
    sched_setaffinity(None, &only).expect("it is one of those we run on");
    let none = sched_param { sched_priority: 0 };
    // SAFETY: sched_setscheduler(2) reads the parameter, which outlives the call. 0 is the calling thread.
    let made_idle = unsafe { sched_setscheduler(0, SCHED_IDLE, &raw const none) };
    assert_eq!(made_idle, 0, "any thread may give way to all others: {}", io::Error::last_os_error());
    while !stop.load(Relaxed) {
        spin_loop();
    }
}
