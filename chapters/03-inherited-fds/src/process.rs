//! What this process knows about itself from `/proc` (proc(5)).
//!
//! The invariant: the numbers are the kernel's, so a thread or a descriptor that a C library made counts as well.

use std::fs;
use std::io;

/// How many threads run. If it is one, it stays one until the caller starts another.
pub(crate) fn threads() -> io::Result<usize> {
    fs::read_dir("/proc/self/task").map(Iterator::count)
}

/// How many descriptors are open, the one that it takes to look included.
pub(crate) fn descriptors() -> io::Result<usize> {
    fs::read_dir("/proc/self/fd").map(Iterator::count)
}
