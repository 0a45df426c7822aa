//! What was said in a room, in a ring of memory that all generations share.
//!
//! The invariant: no process reads what lies behind the end, and none overwrites what lies between the oldest record and the end.
//! So a writer may be killed at any moment: what it had not committed was never there.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustix::fs::{FlockOperation, MemfdFlags, SealFlags, fcntl_add_seals, flock, memfd_create};

use super::Lagged;

/// What a log begins with. Another meaning of the bytes would need another number.
const MAGIC: &[u8] = b"graceful room 1\n";

/// The magic, the bounds, and room for more.
const HEAD: u64 = 64;

/// Before each message: its position, by which a reader knows that a record begins there, and its length.
const PREFIX: usize = size_of::<u64>() + size_of::<u32>();

/// Bytes of the longest message. The ring has room for one more record than is kept: a writer that has not committed yet
/// overwrites none of those.
pub(super) const LONGEST: usize = 1 << 16;

/// How often a reader tries to read bounds that are not half written. A write is a matter of a microsecond.
const TRIES: usize = 16;

/// A log, opened for this process alone: the lock lasts as long as one process has this file open (flock(2)).
#[derive(Debug)]
pub(super) struct Log {
    pub(super) file: File,
    /// Its length in bytes. A position counts on, round after round.
    ring: u64,
}

/// The positions at which the oldest record begins, and the next one will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) oldest: u64,
    pub(super) end: u64,
}

impl Log {
    /// Memory for a log that keeps this many bytes, and at least one message of any length.
    pub(super) fn create(kept: u64) -> io::Result<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Linux before 6.3 does not know the third flag, and a later one may insist on it (vm.memfd_noexec).
        let created = memfd_create(c"room", flags | MemfdFlags::NOEXEC_SEAL);
        let file = File::from(created.or_else(|_| memfd_create(c"room", flags))?);
        let longest = (PREFIX + LONGEST) as u64;
        file.set_len(HEAD + kept.max(longest) + longest)?;
        // No process can make a read of another one fail.
        fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        file.write_all_at(MAGIC, 0)?;
        // Behind all positions of a room that was here before, which had less than a byte each nanosecond: a member of that one is
        // told that it has missed some.
        let begin = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?.as_nanos();
        let begin = u64::try_from(begin).map_err(io::Error::other)?;
        commit(&file, Bounds { oldest: begin, end: begin })?;
        Ok(file.into())
    }

    pub(super) fn open(memory: &OwnedFd) -> io::Result<Log> {
        let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let (length, mut magic) = (file.metadata()?.len(), [0; MAGIC.len()]);
        let is_read = file.read_exact_at(&mut magic, 0);
        match length.checked_sub(HEAD) {
            Some(ring) if is_read.is_ok() && magic == MAGIC => Ok(Log { file, ring }),
            _ => Err(io::Error::other("this is not a room of the kind that this version has")),
        }
    }

    /// Locks the log, for one writer among all processes.
    pub(super) fn lock(&self, operation: FlockOperation) -> io::Result<()> {
        Ok(flock(&self.file, operation)?)
    }

    pub(super) fn bounds(&self) -> io::Result<Bounds> {
        for _ in 0..TRIES {
            let mut bytes = [0; 3 * size_of::<u64>()];
            self.file.read_exact_at(&mut bytes, MAGIC.len() as u64)?;
            let [oldest, end, check] = [0, 8, 16].map(|at| number(&bytes[at..at + 8]));
            if check == oldest ^ end {
                return Ok(Bounds { oldest, end });
            }
        }
        Err(io::Error::other("the bounds of the room are damaged"))
    }

    // ANCHOR: append
    /// The next record. Its writer has the lock.
    pub(super) fn append(&self, message: &[u8]) -> io::Result<()> {
        let end = self.write_behind_the_end(message)?;
        let Bounds { mut oldest, .. } = self.bounds()?;
        while end - oldest > self.ring - (PREFIX + LONGEST) as u64 {
            oldest += (PREFIX + self.read_prefix(oldest)?.1) as u64;
        }
        commit(&self.file, Bounds { oldest, end })
    }

    /// The first half of that: it shows, once the returned end is committed.
    fn write_behind_the_end(&self, message: &[u8]) -> io::Result<u64> {
        let length = u32::try_from(message.len()).ok().filter(|length| *length as usize <= LONGEST);
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, format!("a message has at most {LONGEST} bytes"));
        let length = length.ok_or_else(too_long)?;
        let Bounds { end, .. } = self.bounds()?;
        let record = [&end.to_le_bytes(), &length.to_le_bytes()[..], message].concat();
        for (offset, part) in self.places(end, record.len()) {
            self.file.write_all_at(&record[part], offset)?;
        }
        Ok(end + record.len() as u64)
    }
    // ANCHOR_END: append

    /// The message at this position, unless that is the end, and the position behind it.
    pub(super) fn read(&self, position: u64) -> io::Result<Option<Result<(Bytes, u64), Lagged>>> {
        let Bounds { oldest, end } = self.bounds()?;
        if position == end {
            return Ok(None);
        }
        if !(oldest..end).contains(&position) {
            return Ok(Some(Err(Lagged)));
        }
        let (begins, length) = self.read_prefix(position)?;
        if begins != position || length > LONGEST {
            return Ok(Some(Err(Lagged)));
        }
        let mut message = vec![0; length];
        let begins = position + PREFIX as u64;
        self.read_at(begins, &mut message)?;
        // It may have been overwritten meanwhile; then this shows it.
        let is_kept = self.bounds()?.oldest <= position;
        Ok(Some(is_kept.then(|| (message.into(), begins + length as u64)).ok_or(Lagged)))
    }

    fn read_prefix(&self, position: u64) -> io::Result<(u64, usize)> {
        let mut prefix = [0; PREFIX];
        self.read_at(position, &mut prefix)?;
        let (begins, length) = prefix.split_at(size_of::<u64>());
        Ok((number(begins), usize::try_from(number(length)).unwrap_or(usize::MAX)))
    }

    fn read_at(&self, position: u64, to: &mut [u8]) -> io::Result<()> {
        let places = self.places(position, to.len());
        places.into_iter().try_for_each(|(offset, part)| self.file.read_exact_at(&mut to[part], offset))
    }

    /// Where in the file these bytes are: what does not fit before the ring's end goes on at its beginning.
    fn places(&self, position: u64, length: usize) -> [(u64, Range<usize>); 2] {
        let at = position % self.ring;
        let first = usize::try_from(self.ring - at).map_or(length, |left| left.min(length));
        [(HEAD + at, 0..first), (HEAD, first..length)]
    }
}

fn commit(file: &File, Bounds { oldest, end }: Bounds) -> io::Result<()> {
    let words = [oldest, end, oldest ^ end].map(u64::to_le_bytes);
    file.write_all_at(words.as_flattened(), MAGIC.len() as u64)
}

/// At most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::thread;

    use fastrand::Rng;

    use super::*;

    fn memory() -> OwnedFd {
        Log::create(0).expect("there is memory")
    }

    fn log(memory: &OwnedFd) -> Log {
        Log::open(memory).expect("it is a room's")
    }

    /// The messages from this position on.
    fn all(log: &Log, mut position: u64) -> Vec<Bytes> {
        let mut all = vec![];
        while let Some(read) = log.read(position).expect("it can be read") {
            let (message, next) = read.expect("all that is kept can be read");
            all.push(message);
            position = next;
        }
        all
    }

    /// Processes that append in turn, some of which are killed at it, and readers that come at any time.
    #[test]
    fn what_is_kept_is_what_was_committed_last_and_in_this_order() {
        let memory = memory();
        let logs = [log(&memory), log(&memory)];
        let mut random = Rng::with_seed(7);
        let (mut said, mut starts) = (vec![], vec![]);
        for number in 0..3_000_usize {
            let log = random.choice(&logs).expect("there are two");
            let longest = if number % 10 == 0 { LONGEST + 1 } else { 3_000 };
            let mut message = || vec![random.u8(..); random.usize(..longest)];
            if number % 3 == 0 {
                log.write_behind_the_end(&message()).expect("it can be written");
            }
            starts.push(log.bounds().expect("they can be read").end);
            said.push(message());
            log.append(&said[number]).expect("it can be written");
            let Bounds { oldest, end } = log.bounds().expect("they can be read");
            let from = starts.binary_search(&oldest).expect("a record begins there");
            if number % 50 == 0 {
                assert_eq!(all(&logs[0], oldest), said[from..], "after {number}");
            }
            let kept = (PREFIX + LONGEST) as u64;
            assert!(end - oldest <= kept, "one more would overwrite some");
            assert!(from == 0 || end - starts[from - 1] > kept, "no more is given up than has to be");
            assert_eq!(log.read(random.u64(..oldest)).expect("it can be read"), Some(Err(Lagged)));
        }
        let blocks = rustix::fs::fstat(&memory).expect("it is open").st_blocks;
        assert!(blocks * 512 <= 4 << 16, "it should not have grown: {blocks} blocks");
    }

    #[test]
    fn a_position_at_which_no_record_begins_is_refused() {
        let memory = memory();
        let log = log(&memory);
        (0..5).for_each(|number| log.append(&[number; 10]).expect("it can be written"));
        let Bounds { oldest, end } = log.bounds().expect("they can be read");
        let is_read = |position: &u64| matches!(log.read(*position), Ok(Some(Ok(_))));
        let begin = (oldest - 100..end + 100).filter(is_read).map(|position| position - oldest);
        assert_eq!(begin.collect::<Vec<_>>(), [0, 22, 44, 66, 88]);
    }

    #[test]
    fn a_message_that_is_too_long_is_refused() {
        let memory = memory();
        let log = log(&memory);
        log.append(&vec![1; LONGEST + 1]).expect_err("it is too long");
        log.append(&vec![2; LONGEST]).expect("it is not");
        assert_eq!(all(&log, log.bounds().expect("they can be read").oldest), [vec![2; LONGEST]]);
    }

    #[test]
    fn memory_that_is_not_a_room_is_refused() {
        let other = memory_create("other room 1\n");
        Log::open(&other).expect_err("it begins otherwise");
        Log::open(&memory_create("")).expect_err("it is empty");
        let (pipe, _write) = io::pipe().expect("there are descriptors left");
        Log::open(&pipe.into()).expect_err("it is no memory");
    }

    fn memory_create(content: &str) -> OwnedFd {
        let file = File::from(memfd_create(c"other", MemfdFlags::CLOEXEC).expect("there is memory"));
        file.write_all_at(content.as_bytes(), 0).expect("it is ours");
        file.into()
    }

    /// A reader that is overtaken hears that it is; it never gets half a message.
    #[test]
    fn a_reader_that_races_with_writers_reads_no_torn_message() {
        /// Also if the reader panics: all threads are waited for.
        struct Stop<'stop>(&'stop AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Relaxed);
            }
        }
        let (memory, stop) = (memory(), AtomicBool::new(false));
        thread::scope(|scope| {
            let _stop = Stop(&stop);
            for _ in 0..2 {
                scope.spawn(|| {
                    let (log, mut random) = (log(&memory), Rng::new());
                    while !stop.load(Relaxed) {
                        log.lock(FlockOperation::LockExclusive).expect("it can be locked");
                        let next = log.bounds().expect("they can be read").end.to_le_bytes();
                        log.append(&next.repeat(random.usize(1..8_000))).expect("it can be written");
                        log.lock(FlockOperation::Unlock).expect("it can be unlocked");
                    }
                });
            }
            let (log, mut read, mut lagged) = (log(&memory), 0, 0);
            while read < 1_000 || lagged < 5 {
                // The one that is overwritten next.
                let position = log.bounds().expect("they can be read").oldest;
                match log.read(position).expect("it can be read") {
                    Some(Ok((message, _))) => {
                        let torn = message.as_chunks().0.iter().find(|word| **word != position.to_le_bytes());
                        assert_eq!(torn, None, "at {position}");
                        read += 1;
                    }
                    Some(Err(Lagged)) => lagged += 1,
                    None => {}
                }
            }
        });
    }
}
