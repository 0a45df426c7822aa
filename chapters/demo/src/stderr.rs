//! Standard error, for a log.
//!
//! The invariant: a line never waits for the log's reader and never kills the process that writes it; only a terminal
//! that is nearly full can delay one. A server that waited would stop answering because the reader of its log has
//! stopped (moby/moby#31540). A line that cannot be written at once is lost, and a later line reports how many were.

use std::io::{self, IoSlice, Write};
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, ReadWriteFlags, pwritev2, write};
use rustix::process::{Resource, getrlimit};

/// Lines that were lost and not reported yet.
static LOST: Mutex<usize> = Mutex::new(0);

/// Takes whole lines.
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
        if *lost > 0 && write_now(format!("log: lines lost because the reader did not keep up: {lost}\n").as_bytes()) {
            *lost = 0;
        }
        *lost += usize::from(!write_now(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a line if all of it can be written at once.
fn write_now(line: &[u8]) -> bool {
    let stderr = io::stderr();
    let Ok(stat) = fstat(&stderr) else { return false };
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        // A write to a file does not wait, but one past the file size limit ends the process (SIGXFSZ, setrlimit(2)).
        let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX).saturating_add(line.len() as u64);
        let fits = getrlimit(Resource::Fsize).current.is_none_or(|limit| size <= limit);
        return fits && write(&stderr, line) == Ok(line.len());
    }
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    if poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) != Ok(1) {
        return false;
    }
    // Another process may have used up the room. An offset of -1 (all bits set) means the current position.
    let written = match pwritev2(&stderr, &[IoSlice::new(line)], u64::MAX, ReadWriteFlags::NOWAIT) {
        // A terminal does not support RWF_NOWAIT. If it is not read and has little room left, the line may wait.
        Err(Errno::OPNOTSUPP) => write(&stderr, line),
        written => written,
    };
    written == Ok(line.len())
}
