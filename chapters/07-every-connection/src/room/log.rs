//! What was said in a room, in a ring of memory that all generations share.
//!
//! The invariant: no process reads what lies behind the end, and none overwrites what lies between the oldest record and the end.
//! So a writer may be killed at any moment: what it had not committed was never there.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustix::fs::{FlockOperation, MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, flock, memfd_create};

use super::Lagged;

/// What a log begins with. Another meaning of the bytes would need another number.
const MAGIC: &[u8] = b"graceful room 1\n";

/// Behind the magic are a key, the bounds, and a copy of them as they were before the last write. A reader that finds one of the two
/// half written takes the other, so a writer may stand still in the middle for as long as it likes.
const KEY: u64 = MAGIC.len() as u64;
const BOUNDS: u64 = KEY + 8;
const BEFORE: u64 = BOUNDS + 24;
const HEAD: u64 = BEFORE + 24;

/// Before each message: its position, by which a reader knows that a record begins there, and its length. The key of the log, which
/// no client knows, hides the position: no message can look as if it had a record in it.
const PREFIX: usize = size_of::<u64>() + size_of::<u32>();

/// Bytes of the longest message. The ring has room for one more record than is kept: a writer that has not committed yet
/// overwrites none of those.
pub(super) const LONGEST: usize = 1 << 16;

const LONGEST_RECORD: u64 = (PREFIX + LONGEST) as u64;

/// How often a reader looks for bounds that are not half written. Both are only if it catches two writes, one after the other.
const TRIES: usize = 16;

/// A log, opened for this process alone: the lock lasts as long as one process has this file open (flock(2)).
#[derive(Debug)]
pub(super) struct Log {
    pub(super) file: File,
    /// Its length in bytes. A position counts on, round after round.
    ring: u64,
    key: u64,
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
        file.set_len(kept.max(LONGEST_RECORD).saturating_add(HEAD + LONGEST_RECORD))?;
        // No process can make a read of another one fail.
        fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        file.write_all_at(MAGIC, 0)?;
        // Behind all positions of a room that was here before, which had less than a byte each nanosecond: a member of that one is
        // told that it has missed some.
        let begin = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?.as_nanos();
        let begin = u64::try_from(begin).map_err(io::Error::other)?;
        // The hasher has its keys from the kernel.
        file.write_all_at(&RandomState::new().hash_one(begin).to_le_bytes(), KEY)?;
        for place in [BEFORE, BOUNDS] {
            write_bounds(&file, place, Bounds { oldest: begin, end: begin })?;
        }
        Ok(file.into())
    }

    pub(super) fn open(memory: &OwnedFd) -> io::Result<Log> {
        let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let (mut magic, mut key) = ([0; MAGIC.len()], [0; size_of::<u64>()]);
        let is_read = file.read_exact_at(&mut magic, 0).and_then(|()| file.read_exact_at(&mut key, KEY));
        // So that no process can make a read of ours fail.
        let is_sealed = fcntl_get_seals(&file).is_ok_and(|seals| seals.contains(SealFlags::GROW | SealFlags::SHRINK));
        match file.metadata()?.len().checked_sub(HEAD) {
            Some(ring) if is_read.is_ok() && magic == MAGIC && is_sealed && ring >= 2 * LONGEST_RECORD => {
                Ok(Log { file, ring, key: number(&key) })
            }
            _ => Err(io::Error::other("this is not a room of the kind that this version has")),
        }
    }

    /// Locks the log, for one writer among all processes.
    pub(super) fn lock(&self, operation: FlockOperation) -> io::Result<()> {
        Ok(flock(&self.file, operation)?)
    }

    pub(super) fn bounds(&self) -> io::Result<Bounds> {
        for place in [BOUNDS, BEFORE].into_iter().cycle().take(TRIES) {
            let mut bytes = [0; 3 * size_of::<u64>()];
            self.file.read_exact_at(&mut bytes, place)?;
            let [oldest, end, check] = [0, 8, 16].map(|at| number(&bytes[at..at + 8]));
            let kept = end.checked_sub(oldest).filter(|kept| *kept <= self.ring - LONGEST_RECORD);
            if check == oldest ^ end && kept.is_some() {
                return Ok(Bounds { oldest, end });
            }
        }
        Err(damaged())
    }

    // ANCHOR: append
    /// The next record. Its writer has the lock.
    pub(super) fn append(&self, message: &[u8]) -> io::Result<()> {
        let end = self.write_behind_the_end(message)?;
        let before = self.bounds()?;
        let mut oldest = before.oldest;
        while end - oldest > self.ring - LONGEST_RECORD {
            let length = self.length(oldest, before.end)?.ok_or_else(damaged)?;
            oldest += (PREFIX + length) as u64;
        }
        write_bounds(&self.file, BEFORE, before)?;
        write_bounds(&self.file, BOUNDS, Bounds { oldest, end })
    }

    /// The first half of that: it shows, once the returned end is committed.
    fn write_behind_the_end(&self, message: &[u8]) -> io::Result<u64> {
        let length = u32::try_from(message.len()).ok().filter(|length| *length as usize <= LONGEST);
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, format!("a message has at most {LONGEST} bytes"));
        let length = length.ok_or_else(too_long)?;
        let Bounds { end, .. } = self.bounds()?;
        let record = [&(end ^ self.key).to_le_bytes(), &length.to_le_bytes()[..], message].concat();
        let behind = end.checked_add(record.len() as u64).ok_or_else(damaged)?;
        for (offset, part) in self.places(end, record.len()) {
            self.file.write_all_at(&record[part], offset)?;
        }
        Ok(behind)
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
        let Some(length) = self.length(position, end)? else {
            return Ok(Some(Err(Lagged)));
        };
        let mut message = vec![0; length];
        let begins = position + PREFIX as u64;
        self.read_at(begins, &mut message)?;
        // It may have been overwritten meanwhile; then this shows it.
        let is_kept = self.bounds()?.oldest <= position;
        Ok(Some(is_kept.then(|| (message.into(), begins + length as u64)).ok_or(Lagged)))
    }

    /// How long the message at this position is, if a record begins there and ends at `end` or before. `end` is not before `position`.
    fn length(&self, position: u64, end: u64) -> io::Result<Option<usize>> {
        let mut prefix = [0; PREFIX];
        self.read_at(position, &mut prefix)?;
        let (begins, length) = prefix.split_at(size_of::<u64>());
        let length = usize::try_from(number(length)).ok().filter(|length| *length <= LONGEST);
        let fits = length.filter(|length| (PREFIX + length) as u64 <= end - position);
        Ok(fits.filter(|_| number(begins) == position ^ self.key))
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

fn write_bounds(file: &File, place: u64, Bounds { oldest, end }: Bounds) -> io::Result<()> {
    let words = [oldest, end, oldest ^ end].map(u64::to_le_bytes);
    file.write_all_at(words.as_flattened(), place)
}

fn damaged() -> io::Error {
    io::Error::other("the room is damaged")
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
    fn a_message_that_looks_like_a_record_is_none() {
        let memory = memory();
        let log = log(&memory);
        let begins = log.bounds().expect("they can be read").end + PREFIX as u64;
        log.append(&[&begins.to_le_bytes(), &4_u32.to_le_bytes()[..], b"fake"].concat()).expect("it can be written");
        assert_eq!(log.read(begins).expect("it can be read"), Some(Err(Lagged)));
    }

    /// Writes what a broken program might.
    fn damage(log: &Log, position: u64, bytes: &[u8]) {
        for (offset, part) in log.places(position, bytes.len()) {
            log.file.write_all_at(&bytes[part], offset).expect("it can be written");
        }
    }

    #[test]
    fn a_record_that_goes_on_behind_the_end_is_refused() {
        let memory = memory();
        let log = log(&memory);
        let Bounds { end, .. } = log.bounds().expect("they can be read");
        log.append(b"short").expect("it can be written");
        damage(&log, end + 8, &6_u32.to_le_bytes());
        assert_eq!(log.read(end).expect("it can be read"), Some(Err(Lagged)));
    }

    /// The lock of all processes is held meanwhile.
    #[test]
    fn a_writer_neither_panics_nor_goes_astray_in_a_damaged_room() {
        for prefix in [[0xff; PREFIX], [0; PREFIX]] {
            let memory = memory();
            let log = log(&memory);
            let Bounds { oldest, .. } = log.bounds().expect("they can be read");
            log.append(&vec![1; LONGEST]).expect("it can be written");
            damage(&log, oldest, &prefix);
            log.append(b"more").expect_err("what it has to give up is no record");
        }
        let memory = memory();
        let log = log(&memory);
        for (oldest, end) in [(2, 1), (0, LONGEST_RECORD + 1), (u64::MAX - 1, u64::MAX)] {
            for place in [BEFORE, BOUNDS] {
                write_bounds(&log.file, place, Bounds { oldest, end }).expect("it can be written");
            }
            log.append(b"more").expect_err("these are no bounds");
        }
    }

    /// Its processor may be taken away at any byte, for as long as the kernel likes.
    #[test]
    fn a_writer_that_stands_still_between_two_bytes_holds_up_no_reader() {
        let memory = memory();
        let log = log(&memory);
        log.append(&vec![1; LONGEST]).expect("it can be written");
        let before = log.bounds().expect("they can be read");
        let next = Bounds { oldest: before.end, end: before.end + LONGEST_RECORD };
        let words = |Bounds { oldest, end }| [oldest, end, oldest ^ end].map(u64::to_le_bytes);
        for (place, bounds) in [(BEFORE, before), (BOUNDS, next)] {
            for (offset, byte) in (place..).zip(words(bounds).as_flattened()) {
                let now = log.bounds().expect("it is not damaged");
                assert!([before, next].contains(&now), "before byte {offset}: {now:?}");
                log.file.write_all_at(&[*byte], offset).expect("it can be written");
            }
        }
        assert_eq!(log.bounds().expect("it is not damaged"), next);
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
        let other = memory_create(b"other room 1\n");
        Log::open(&other).expect_err("it begins otherwise");
        Log::open(&memory_create(b"")).expect_err("it is empty");
        Log::open(&memory_create(&[MAGIC, &vec![0; 1 << 18]].concat())).expect_err("it could be made shorter");
        for ring in [0, 1, 2 * LONGEST_RECORD - 1] {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let short = File::from(memfd_create(c"short", flags).expect("there is memory"));
            short.write_all_at(MAGIC, 0).expect("it is ours");
            short.set_len(HEAD + ring).expect("it is ours");
            fcntl_add_seals(&short, SealFlags::GROW | SealFlags::SHRINK).expect("it is ours");
            Log::open(&short.into()).expect_err("it has no room for two messages");
        }
        let (pipe, _write) = io::pipe().expect("there are descriptors left");
        Log::open(&pipe.into()).expect_err("it is no memory");
    }

    fn memory_create(content: &[u8]) -> OwnedFd {
        let file = File::from(memfd_create(c"other", MemfdFlags::CLOEXEC).expect("there is memory"));
        file.write_all_at(content, 0).expect("it is ours");
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
