//! The page on which all generations count.
//!
//! The first byte says how the file differs from a page; the rest is what is in it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::descriptors::assert_none_left;

#[allow(dead_code, unreachable_pub)]
#[path = "../../../../chapters/06-in-production/src/counters/page.rs"]
mod page;

/// What `page` begins with, and how long it is.
const MAGIC: &[u8] = b"graceful count 1";
const SIZE: usize = 4096;

pub(crate) fn run(bytes: &[u8]) {
    let Some((how, content)) = bytes.split_first() else { return };
    assert_none_left(|| {
        let file = File::from(memfd_create(c"page", MemfdFlags::ALLOW_SEALING).expect("there is memory"));
        let size = if how & 1 == 0 { SIZE } else { content.len() };
        file.set_len(size as u64).expect("it is ours");
        if how & 2 == 0 {
            fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK).expect("it is ours");
        }
        let begin = if how & 4 == 0 { MAGIC } else { &[] };
        let whole = [begin, content].concat();
        file.write_all_at(&whole[..whole.len().min(size)], 0).expect("it is as long");
        let mut before = vec![0; size];
        file.read_exact_at(&mut before, 0).expect("it is as long");
        let copy = file.try_clone().expect("there are descriptors left");
        let Ok((page, ours)) = page::Page::adopt(copy.into(), 7) else {
            let mut after = vec![0; size];
            file.read_exact_at(&mut after, 0).expect("it is as long");
            assert_eq!(before, after, "what is refused is left as it is");
            return;
        };
        assert!(size == SIZE && how & 2 == 0 && before.starts_with(MAGIC), "no other file is a page");
        let slots = page.read().expect("it is there");
        assert_eq!(slots.iter().filter(|(_, alive)| *alive).map(|(slot, _)| *slot).collect::<Vec<_>>(), [ours]);
        assert_eq!((ours.generation, ours.gauge, ours.numbers), (7, 0, ours.found), "it counts on");
        let mut after = vec![0; size];
        file.read_exact_at(&mut after, 0).expect("it is as long");
        assert_eq!(before[512..], after[512..], "the other slots are other processes'");
    });
}
