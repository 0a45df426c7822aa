use std::fs::read_link;
use std::os::fd::AsRawFd as _;
use std::process::Command;

use exercises::ch3_cloexec::listen;

#[test]
fn a_child_does_not_hold_the_listener() {
    let listener = listen().unwrap();
    let number = format!("/proc/self/fd/{}", listener.as_raw_fd());
    let ours = read_link(&number).unwrap();

    let child = Command::new("readlink").arg(&number).output().unwrap();

    let theirs = String::from_utf8_lossy(&child.stdout);
    assert_ne!(
        theirs.trim_end(),
        ours.to_string_lossy(),
        "a program that we started, and that knows nothing of us, holds our listener: when we are gone, clients will \
         connect to it and wait for ever"
    );
}
