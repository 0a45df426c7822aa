//! What a process does to itself, tested in one that has a single thread: libtest would start another.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd as _, AsRawFd as _, IntoRawFd as _, RawFd};
use std::path::Path;
use std::process;
use std::sync::mpsc;
use std::thread;

use inherited_fds::{Bequest, InheritError, Inherited};
use lab::{Census, Descriptor};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

type Tested = Result<(), Box<dyn Error>>;
type Test = (&'static str, fn() -> Tested);

fn main() -> Tested {
    let tests: [Test; 5] = [
        ("an_exec_that_fails_leaves_the_process_as_it_was", an_exec_that_fails_leaves_the_process_as_it_was),
        ("a_fork_whose_exec_fails_leaves_no_child", a_fork_whose_exec_fails_leaves_no_child),
        ("what_is_promised_is_taken_once", what_is_promised_is_taken_once),
        ("what_this_process_opened_itself_is_not_inherited", what_this_process_opened_itself_is_not_inherited),
        ("with_a_second_thread_nothing_is_touched", with_a_second_thread_nothing_is_touched),
    ];
    for (name, test) in tests {
        print!("test {name} ... ");
        test()?;
        println!("ok");
    }
    Ok(())
}

fn open() -> BTreeMap<RawFd, Descriptor> {
    Census::of(Pid::this()).descriptors
}

/// As a parent would that passes descriptors from 3 on.
fn promise(count: &str) {
    let ours = process::id().to_string();
    for (variable, value) in [("LISTEN_FDS", count), ("LISTEN_PID", &ours), ("LISTEN_FDNAMES", "zero")] {
        // SAFETY: no other thread may touch the environment meanwhile; there is none.
        unsafe { env::set_var(variable, value) };
    }
}

fn promised() -> bool {
    ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"].iter().any(|variable| env::var_os(variable).is_some())
}

fn an_exec_that_fails_leaves_the_process_as_it_was() -> Tested {
    let (listener, file) = (TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, File::open("/dev/null")?);
    // One of those that have to make room has no CLOEXEC: it has to come back without.
    fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty()))?;
    assert_eq!((listener.as_raw_fd(), file.as_raw_fd()), (3, 4), "they should be in the way");
    let mut bequest = Bequest::new();
    for (name, fd) in [("a", file.as_fd()), ("b", listener.as_fd()), ("c", file.as_fd())] {
        bequest.add(name, fd)?;
    }
    let before = (open(), Census::of(Pid::this()).ignored);
    let Err(error) = bequest.exec(Path::new("/no/such/program"), &[]);
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert_eq!((open(), Census::of(Pid::this()).ignored), before, "descriptors and ignored signals, before and after");
    Ok(())
}

fn a_fork_whose_exec_fails_leaves_no_child() -> Tested {
    let before = open();
    match Bequest::new().fork_exec(Path::new("/etc/passwd"), &[]) {
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        Ok(_) => return Err("/etc/passwd is no program".into()),
    }
    assert_eq!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Err(Errno::ECHILD), "the child should have been reaped");
    assert_eq!(open(), before, "descriptors before and after");
    Ok(())
}

fn what_is_promised_is_taken_once() -> Tested {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?.to_string().parse()?;
    // As if it had come through exec: no owner here, and no CLOEXEC.
    fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty()))?;
    assert_eq!(listener.into_raw_fd(), 3);
    promise("1");
    let mut inherited = Inherited::from_env()?;
    assert!(!promised(), "the variables should be gone");
    assert!(open()[&3].cloexec, "it should be CLOEXEC again");
    assert!(Inherited::from_env()?.is_empty(), "the second call should find nothing");
    drop(inherited.listener("zero", &address)?.ok_or("it should be found by name")?);
    assert!(inherited.is_empty(), "it should be claimed");
    assert_eq!(Census::of(Pid::this()).targets("socket:").count(), 0, "whoever claims it closes it");
    Ok(())
}

fn what_this_process_opened_itself_is_not_inherited() -> Tested {
    let file = File::open("/dev/null")?;
    assert_eq!(file.as_raw_fd(), 3);
    promise("1");
    let error = Inherited::from_env().expect_err("somebody here owns it already");
    assert!(matches!(error, InheritError::OpenedHere { number: 3, .. }), "{error}");
    assert!(!promised(), "the variables should be gone all the same");
    assert!(open().contains_key(&3), "it still belongs to its owner");
    Ok(())
}

fn with_a_second_thread_nothing_is_touched() -> Tested {
    promise("1");
    let (ended, wait) = mpsc::channel::<()>();
    let second = thread::Builder::new().spawn(move || wait.recv())?;
    let error = Inherited::from_env().expect_err("a thread might read the environment");
    assert!(matches!(error, InheritError::Threads { threads: 2 }), "{error}");
    assert!(promised(), "the variables should still be there");
    let Err(error) = Bequest::new().exec(Path::new("/bin/true"), &[]);
    assert!(error.to_string().starts_with("2 threads"), "{error}");
    drop(ended);
    let _ = second.join();
    Ok(())
}
