//! Where no process could set `LISTEN_PID`, a channel from our parent takes its place, and nothing else does.

mod common;

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Command;

use common::{show, with};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socketpair};
use testkit::{End, Program};

const SETUP: &str = "export LISTEN_FDS=1 LISTEN_FDNAMES=channel";

/// A shell that stays, so that it is the parent of `show`, which gets its descriptors and variables by accident.
const STAYS: &str = "\"$0\" \"$@\"\nexit";

/// Both ends: as long as the parent lives, it holds its own.
fn channel(kind: SockType) -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).expect("there are descriptors left")
}

/// Starts `show` after `setup` with one descriptor.
fn start(setup: &str, descriptor: OwnedFd) -> Program {
    Program::start(&mut with(setup, vec![descriptor], &Command::new(show())))
}

#[track_caller]
fn accepted(mut program: Program, words: &str) {
    let (end, said) = (program.wait(), program.wait_all());
    assert_eq!(end, End::Exited(0), "{said}");
    assert!(said.contains(words), "{said}");
}

#[track_caller]
fn refused(mut program: Program, because: &str) {
    let (end, said) = (program.wait(), program.wait_all());
    assert_eq!(end, End::Exited(1), "{said}");
    assert!(
        said.contains(because) && said.lines().count() == 1,
        "the sentence should say {because:?}, but is:\n{said}"
    );
}

#[test]
fn a_channel_that_our_parent_made_authenticates() {
    let (_ours, theirs) = channel(SockType::SeqPacket);
    accepted(start(SETUP, theirs), "authenticated by a channel");
}

#[test]
fn a_channel_of_a_parent_that_has_ended_authenticates() {
    let (ours, theirs) = channel(SockType::SeqPacket);
    // What it sent before its end must not make it look alive.
    send(ours.as_raw_fd(), b"so long", MsgFlags::empty()).expect("the child's end is open");
    // The shell starts `show` and waits, so `show` has a parent that did not make the channel. Its maker is this test, which
    // lets go of its end, as the kernel does for a process that is killed.
    let mut command = with(&format!("{SETUP}\n{STAYS}"), vec![theirs], &Command::new(show()));
    drop(ours);
    accepted(Program::start(&mut command), "authenticated by a channel");
}

#[test]
fn a_channel_that_another_process_made_does_not() {
    let (_ours, theirs) = channel(SockType::SeqPacket);
    refused(start(&format!("{SETUP}\n{STAYS}"), theirs), "not made by our parent");
}

#[test]
fn a_descriptor_that_is_no_channel_does_not() {
    let (_ours, theirs) = channel(SockType::Stream);
    refused(start(SETUP, theirs), "not a socket of type SOCK_SEQPACKET");
    refused(start(SETUP, File::open("/dev/null").expect("a file").into()), "not a socket of type SOCK_SEQPACKET");
}

#[test]
fn a_descriptor_by_another_name_does_not() {
    let (_ours, theirs) = channel(SockType::SeqPacket);
    refused(start("export LISTEN_FDS=1 LISTEN_FDNAMES=zero", theirs), "no descriptor has the name");
}

#[test]
fn a_pid_that_is_wrong_is_not_outvoted() {
    let (_ours, theirs) = channel(SockType::SeqPacket);
    refused(start(&format!("{SETUP} LISTEN_PID=1"), theirs), "LISTEN_PID=1 ");
}

#[test]
fn for_a_count_of_zero_nothing_is_asked_for_however_it_is_written() {
    for count in ["0", "00", "+0"] {
        let null = File::open("/dev/null").expect("a file").into();
        let mut program = start(&format!("export LISTEN_FDS={count} LISTEN_FDNAMES=zero"), null);
        assert_eq!(program.wait(), End::Exited(0), "LISTEN_FDS={count}: {}", program.wait_all());
    }
}

#[test]
fn where_the_pid_is_right_no_channel_is_asked_for() {
    let null = File::open("/dev/null").expect("a file").into();
    accepted(start("export LISTEN_FDS=1 LISTEN_PID=$$", null), "3 unknown /dev/null");
}
