//! A page of memory that all generations share, with a slot for each process.
//!
//! The invariant: a slot has one writer, which holds a lock on it that the kernel drops with the process, and which counts on
//! from what it has found there. So the sum of a number over all slots never goes back, and nothing has to be tidied up after a
//! generation that was killed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{self, flock};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

/// Words of a slot: the generation, a gauge, and two for each number: the number, and what its writer had found.
const WORDS: usize = 32;

/// How many numbers a slot has. Those that this version does not know it leaves as they are.
pub(super) const NUMBERS: usize = (WORDS - 2) / 2;

/// Bytes of a slot.
const SLOT: usize = WORDS * size_of::<u64>();

/// Three times as many as there can be generations, in case some were killed and their descendants live on.
const SLOTS: usize = 15;

/// The head, which is as large as a slot, and the slots.
const SIZE: usize = SLOT * (1 + SLOTS);

/// How often a reader tries to get the same content twice. A write is a matter of a microsecond.
const TRIES: usize = 16;

/// What the page begins with. Another meaning of the bytes would need another number.
const MAGIC: &[u8] = b"graceful count 1";

/// What a process has counted, and its predecessors in the slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) generation: u64,
    pub(super) gauge: u64,
    pub(super) numbers: [u64; NUMBERS],
    /// What the numbers were when this generation began.
    pub(super) found: [u64; NUMBERS],
}

/// The page, and our slot in it.
#[derive(Debug)]
pub(super) struct Page {
    /// Opened for this process alone: the lock lasts as long as one process has this file open (fcntl(2)).
    file: File,
    ours: usize,
}

impl Page {
    /// A page of zeros.
    pub(super) fn create(generation: u64) -> io::Result<(Page, Slot)> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Linux before 6.3 does not know the third flag, and a later one may insist on it (vm.memfd_noexec).
        let created = memfd_create(c"graceful-counters", flags | MemfdFlags::NOEXEC_SEAL);
        let file = File::from(created.or_else(|_| memfd_create(c"graceful-counters", flags))?);
        file.set_len(SIZE as u64)?;
        // No process can make a read of another one fail.
        fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        file.write_all_at(MAGIC, 0)?;
        Page::claim(file, generation)
    }

    /// The predecessor's page.
    pub(super) fn adopt(inherited: OwnedFd, generation: u64) -> io::Result<(Page, Slot)> {
        let seals = fcntl_get_seals(&inherited).unwrap_or(SealFlags::empty());
        let (file, mut magic) = (File::from(inherited), [0; MAGIC.len()]);
        if !seals.contains(SealFlags::GROW | SealFlags::SHRINK) || file.metadata()?.len() != SIZE as u64 {
            return Err(io::Error::other("it is not of the size that this version has"));
        }
        file.read_exact_at(&mut magic, 0)?;
        if magic != MAGIC {
            return Err(io::Error::other("its content is not of the kind that this version has"));
        }
        Page::claim(file, generation)
    }

    /// Takes the first slot that no living process has, and says what is in it.
    fn claim(file: File, generation: u64) -> io::Result<(Page, Slot)> {
        let is_free = |slot: &usize| fcntl(&file, FcntlArg::F_OFD_SETLK(&lock_of(*slot))).is_ok();
        let ours = (0..SLOTS).find(is_free).ok_or_else(|| io::Error::other("every slot of it is taken"))?;
        let page = Page { file, ours };
        let found = page.slots()?[ours];
        let slot = Slot { generation, gauge: 0, numbers: found.numbers, found: found.numbers };
        page.write(&slot)?;
        Ok((page, slot))
    }

    /// The page, for a successor alone.
    pub(super) fn for_successor(&self) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(OpenOptions::new().read(true).write(true).open(path)?.into())
    }

    /// Writes our slot.
    pub(super) fn write(&self, slot: &Slot) -> io::Result<()> {
        let pairs = slot.numbers.into_iter().zip(slot.found).flat_map(|(number, found)| [number, found]);
        let words = [slot.generation, slot.gauge].into_iter().chain(pairs);
        let bytes: Vec<_> = words.flat_map(u64::to_le_bytes).collect();
        self.file.write_all_at(&bytes, (SLOT * (1 + self.ours)) as u64)
    }

    /// Reads all slots, and whether the process that writes each is alive.
    pub(super) fn read(&self) -> io::Result<Vec<(Slot, bool)>> {
        let slots = self.slots()?.into_iter().enumerate();
        Ok(slots.map(|(index, slot)| (slot, self.is_alive(index))).collect())
    }

    fn slots(&self) -> io::Result<[Slot; SLOTS]> {
        let (mut bytes, mut again) = ([0; SIZE], [1; SIZE]);
        // The kernel may copy while another process writes. What is the same twice was not half written.
        for _ in 0..TRIES {
            if bytes == again {
                break;
            }
            self.file.read_exact_at(&mut bytes, 0)?;
            self.file.read_exact_at(&mut again, 0)?;
        }
        let mut slots = [Slot::default(); SLOTS];
        for (slot, bytes) in slots.iter_mut().zip(bytes.chunks_exact(SLOT).skip(1)) {
            let mut words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
            let mut next = || words.next().unwrap_or_default();
            (slot.generation, slot.gauge) = (next(), next());
            for (number, found) in slot.numbers.iter_mut().zip(&mut slot.found) {
                (*number, *found) = (next(), next());
            }
        }
        Ok(slots)
    }

    fn is_alive(&self, slot: usize) -> bool {
        let mut lock = lock_of(slot);
        // A lock of ours is not in our own way.
        slot == self.ours
            || fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut lock)).is_ok() && i32::from(lock.l_type) != libc::F_UNLCK
    }
}

/// A lock on a slot, for fcntl(2).
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "all of these are small")]
fn lock_of(slot: usize) -> flock {
    flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: (SLOT * (1 + slot)) as libc::off_t,
        l_len: SLOT as libc::off_t,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn successor_of(page: &Page, generation: u64) -> io::Result<(Page, Slot)> {
        Page::adopt(page.for_successor().expect("/proc is there"), generation)
    }

    fn sum(page: &Page) -> u64 {
        page.slots().expect("it is there").iter().map(|slot| slot.numbers[0]).sum()
    }

    /// Adds to the first number.
    fn count(page: &Page, slot: &mut Slot, more: u64) {
        slot.numbers[0] += more;
        page.write(slot).expect("it is ours");
    }

    #[test]
    fn a_slot_is_taken_over_with_its_numbers_once_its_writer_is_gone() {
        let (first, mut slot) = Page::create(1).expect("there is memory");
        count(&first, &mut slot, 5);
        let (second, mut slot) = successor_of(&first, 2).expect("it is a page");
        count(&second, &mut slot, 7);
        assert!(first.is_alive(second.ours) && second.is_alive(first.ours));
        let ours = second.ours;
        drop(second);
        assert!(!first.is_alive(ours), "a writer that is gone should hold no lock");
        assert_eq!(sum(&first), 12, "and its numbers stay");
        let (third, mut slot) = successor_of(&first, 2).expect("it is a page");
        assert_eq!((third.ours, slot.numbers[0], slot.found[0]), (ours, 7, 7));
        count(&third, &mut slot, 1);
        assert_eq!((sum(&first), sum(&third)), (13, 13));
    }

    #[test]
    fn what_this_version_does_not_know_stays() {
        let (first, mut slot) = Page::create(1).expect("there is memory");
        slot.numbers[NUMBERS - 1] = 3;
        first.write(&slot).expect("it is ours");
        let (second, _) = successor_of(&first, 2).expect("it is a page");
        drop(first);
        let (third, mut slot) = successor_of(&second, 3).expect("it is a page");
        count(&third, &mut slot, 1);
        let slots = third.slots().expect("it is there");
        assert_eq!(slots.iter().map(|slot| slot.numbers[NUMBERS - 1]).sum::<u64>(), 3);
    }

    #[test]
    fn a_page_that_is_not_ours_to_write_is_refused() {
        let (page, _) = Page::create(1).expect("there is memory");
        let others: Vec<_> = (2..).map_while(|generation| successor_of(&page, generation).ok()).collect();
        assert_eq!(others.len() + 1, SLOTS, "one for each slot");
        drop(others);
        page.file.write_all_at(b"2", MAGIC.len() as u64 - 1).expect("it is ours");
        successor_of(&page, 2).expect_err("another version counts in another way");

        let (read, _write) = io::pipe().expect("there are descriptors left");
        Page::adopt(read.into(), 2).expect_err("a pipe is no page");
        let small = memfd_create(c"small", MemfdFlags::ALLOW_SEALING).expect("there is memory");
        fcntl_add_seals(&small, SealFlags::GROW | SealFlags::SHRINK).expect("it is ours");
        Page::adopt(small, 2).expect_err("it is empty");
        let unsealed = File::from(memfd_create(c"unsealed", MemfdFlags::ALLOW_SEALING).expect("there is memory"));
        unsealed.set_len(SIZE as u64).expect("it is ours");
        unsealed.write_all_at(MAGIC, 0).expect("it is ours");
        Page::adopt(unsealed.into(), 2).expect_err("another process could make it smaller");
    }
}
