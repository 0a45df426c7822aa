//! Where nobody could set `LISTEN_PID`, a channel from our parent vouches, and nothing else does.

mod common;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::Command;

use common::{show, with};
use lab::{End, Program};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

const SETUP: &str = "export LISTEN_FDS=1 LISTEN_FDNAMES=channel";

/// Both ends: as long as the parent lives, it holds its own.
fn channel(kind: SockType) -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).expect("there are descriptors left")
}

/// Starts `show` after `setup` with one descriptor; what it said, and how it ended.
fn vouched_by(setup: &str, descriptor: OwnedFd) -> (End, String) {
    let mut show = Command::new(show());
    show.args(["--vouched-by", "channel"]);
    let mut program = Program::start(&mut with(setup, vec![descriptor], &show));
    (program.wait(), program.wait_all())
}

fn refused(setup: &str, descriptor: OwnedFd, because: &str) {
    let (end, said) = vouched_by(setup, descriptor);
    assert_eq!(end, End::Exited(1), "{said}");
    assert!(
        said.contains(because) && said.lines().count() == 1,
        "the sentence should say {because:?}, but is:\n{said}"
    );
}

#[test]
fn a_channel_that_our_parent_made_vouches() {
    let (_ours, theirs) = channel(SockType::SeqPacket);
    let (end, said) = vouched_by(SETUP, theirs);
    assert_eq!(end, End::Exited(0), "{said}");
    assert!(said.contains("3 channel socket:"), "{said}");
}

#[test]
fn a_channel_that_somebody_else_made_does_not() {
    let (_ours, theirs) = channel(SockType::SeqPacket);
    // The shell stays, so it is the parent; the channel is ours. A variable that leaked looks like this.
    refused(&format!("{SETUP}\n\"$0\" \"$@\"\nexit"), theirs, "not made by the parent");
}

#[test]
fn a_descriptor_that_is_no_channel_does_not() {
    let (_ours, theirs) = channel(SockType::Stream);
    refused(SETUP, theirs, "not a socket of type SOCK_SEQPACKET");
    refused(SETUP, File::open("/dev/null").expect("a file").into(), "not a socket of type SOCK_SEQPACKET");
}

#[test]
fn a_descriptor_by_another_name_does_not() {
    let (_ours, theirs) = channel(SockType::SeqPacket);
    refused("export LISTEN_FDS=1 LISTEN_FDNAMES=zero", theirs, "not among them");
}

#[test]
fn a_pid_that_is_wrong_is_not_outvoted() {
    let (_ours, theirs) = channel(SockType::SeqPacket);
    refused(&format!("{SETUP} LISTEN_PID=1"), theirs, "LISTEN_PID=1 ");
}

#[test]
fn where_the_pid_is_right_no_channel_is_asked_for() {
    let (end, said) = vouched_by("export LISTEN_FDS=1 LISTEN_PID=$$", File::open("/dev/null").expect("a file").into());
    assert_eq!(end, End::Exited(0), "{said}");
    assert!(said.contains("3 unknown /dev/null"), "{said}");
}
