//! What taking inherited descriptors does to a process, tested in one that has a single thread: libtest would start more.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, IntoRawFd as _, RawFd};
use std::path::Path;
use std::process;
use std::sync::mpsc;
use std::thread;

use inherited_fds::{InheritError, Inherited, PassedFds, Problem};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, mkfifo};
use testkit::{Census, Descriptor, End, Program};

/// Run with this argument, the program is a parent that starts `show` and never ends.
const PARENT: &str = "parent";

type Tested = Result<(), Box<dyn Error>>;
type Test = (&'static str, fn() -> Tested);

fn main() -> Tested {
    let mut args = env::args().skip(1);
    if args.next().as_deref() == Some(PARENT) {
        return be_parent(&args.next().ok_or("the path of the pipe is missing")?);
    }
    let tests: [Test; 10] = [
        ("a_start_that_fails_leaves_no_child_and_no_descriptor", a_start_that_fails_leaves_no_child_and_no_descriptor),
        ("what_is_promised_is_taken_once", what_is_promised_is_taken_once),
        ("a_promise_of_none_is_none", a_promise_of_none_is_none),
        ("what_this_process_opened_itself_is_not_inherited", what_this_process_opened_itself_is_not_inherited),
        ("every_refusal_closes_what_was_promised", every_refusal_closes_what_was_promised),
        ("what_was_promised_to_another_process_is_left_alone", what_was_promised_to_another_process_is_left_alone),
        ("a_udp_socket_is_inherited_as_well", a_udp_socket_is_inherited_as_well),
        ("what_was_inherited_and_not_claimed_is_closed", what_was_inherited_and_not_claimed_is_closed),
        ("with_a_second_thread_nothing_is_touched", with_a_second_thread_nothing_is_touched),
        // Last: from here on there are threads.
        ("a_parent_that_is_killed_while_its_child_starts_is_still_its_parent", parent_is_killed_while_its_child_starts),
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

fn sockets() -> usize {
    Census::of(Pid::this()).targets("socket:").count()
}

/// Sets the variables as a parent would that passes descriptors from 3 on.
fn promise(variables: &[(&str, &str)]) {
    for variable in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        // SAFETY: no other thread may touch the environment meanwhile; there is none.
        unsafe { env::remove_var(variable) };
    }
    for (variable, value) in variables {
        // SAFETY: as above.
        unsafe { env::set_var(variable, value) };
    }
}

fn is_promised() -> bool {
    ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"].iter().any(|variable| env::var_os(variable).is_some())
}

/// A listener at 3, as if it had come through exec: no owner here, and no CLOEXEC. Returns its address.
fn inherit_listener() -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty()))?;
    let address = listener.local_addr()?.to_string();
    assert_eq!(listener.into_raw_fd(), 3, "nothing else should be open");
    Ok(address)
}

fn a_start_that_fails_leaves_no_child_and_no_descriptor() -> Tested {
    let before = open();
    for (program, kind) in
        [("/no/such/program", io::ErrorKind::NotFound), ("/etc/passwd", io::ErrorKind::PermissionDenied)]
    {
        let mut passed = PassedFds::new();
        passed.add("stdin", io::stdin().as_fd())?;
        let channel = passed.add_channel("parent")?;
        match passed.spawn(Path::new(program), &[]) {
            Err(error) => assert_eq!(error.kind(), kind, "{program}: {error}"),
            Ok(_) => return Err(format!("{program} is no program").into()),
        }
        assert_eq!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Err(Errno::ECHILD), "no child should be left");
        drop(channel);
        assert_eq!(open(), before, "descriptors before and after the start of {program}");
    }
    Ok(())
}

fn what_is_promised_is_taken_once() -> Tested {
    let address = inherit_listener()?.parse()?;
    promise(&[("LISTEN_FDS", "1"), ("LISTEN_PID", &process::id().to_string()), ("LISTEN_FDNAMES", "zero")]);
    let mut inherited = Inherited::from_env()?;
    assert!(!is_promised(), "the variables should be gone");
    assert!(open()[&3].cloexec, "it should be CLOEXEC again");
    assert!(Inherited::from_env()?.is_empty(), "the second call should find nothing");
    drop(inherited.listener("zero", &address)?.ok_or("it should be found by name")?);
    assert!(inherited.is_empty(), "it should be claimed");
    assert_eq!(sockets(), 0, "the code that claimed it closed it");
    Ok(())
}

fn a_promise_of_none_is_none() -> Tested {
    promise(&[("LISTEN_FDS", "0"), ("LISTEN_FDNAMES", "")]);
    assert!(Inherited::from_env()?.is_empty(), "no descriptor was promised, so none needs an address");
    assert!(!is_promised(), "the variables should be gone");
    Ok(())
}

fn what_this_process_opened_itself_is_not_inherited() -> Tested {
    let file = File::open("/dev/null")?;
    assert_eq!(file.as_raw_fd(), 3, "nothing else should be open");
    promise(&[("LISTEN_FDS", "1"), ("LISTEN_PID", &process::id().to_string())]);
    let error = Inherited::from_env().expect_err("it has an owner here already");
    assert!(matches!(error, InheritError::Descriptor(3, _, Problem::OpenedHere)), "{error}");
    assert!(!is_promised(), "the variables should be gone all the same");
    assert!(open().contains_key(&3), "it still belongs to its owner");
    Ok(())
}

fn every_refusal_closes_what_was_promised() -> Tested {
    let ours = process::id().to_string();
    let pid = ("LISTEN_PID", ours.as_str());
    let refusals: [&[(&str, &str)]; 7] = [
        &[("LISTEN_FDS", "1")],
        &[("LISTEN_FDS", "2"), pid],
        &[("LISTEN_FDS", "4000000000"), pid],
        &[("LISTEN_FDS", "1"), pid, ("LISTEN_FDNAMES", "zero:first")],
        &[("LISTEN_FDS", "1"), pid, ("LISTEN_FDNAMES", "ze\u{1b}ro")],
        &[("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "channel")],
        &[("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "zero")],
    ];
    for variables in refusals {
        inherit_listener()?;
        promise(variables);
        let refused = Inherited::from_parent("channel");
        assert!(refused.is_err(), "{variables:?} should be refused, and gave {refused:?}");
        assert_eq!(sockets(), 0, "after {variables:?}, the listener should be closed: it would swallow connections");
        assert!(!is_promised(), "after {variables:?}, the variables should be gone");
    }
    Ok(())
}

fn what_was_promised_to_another_process_is_left_alone() -> Tested {
    inherit_listener()?;
    promise(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "1")]);
    let error = Inherited::from_env().expect_err("process 1 is another process");
    assert!(matches!(error, InheritError::OtherPid { .. }), "{error}");
    assert_eq!(sockets(), 1, "descriptor 3 was not promised to us, so it is not ours to close");
    promise(&[("LISTEN_FDS", "1"), ("LISTEN_PID", &process::id().to_string())]);
    drop(Inherited::from_env()?);
    Ok(())
}

fn a_udp_socket_is_inherited_as_well() -> Tested {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    fcntl(&socket, FcntlArg::F_SETFD(FdFlag::empty()))?;
    let address = socket.local_addr()?;
    assert_eq!(socket.into_raw_fd(), 3, "nothing else should be open");
    promise(&[("LISTEN_FDS", "1"), ("LISTEN_PID", &process::id().to_string()), ("LISTEN_FDNAMES", "echo")]);
    let socket = Inherited::from_env()?.udp("echo", address)?.ok_or("it should be found by name")?;
    assert_eq!(socket.local_addr()?, address);
    Ok(())
}

fn what_was_inherited_and_not_claimed_is_closed() -> Tested {
    inherit_listener()?;
    promise(&[("LISTEN_FDS", "1"), ("LISTEN_PID", &process::id().to_string())]);
    drop(Inherited::from_env()?);
    assert_eq!(sockets(), 0, "a listener that is open and never accepted from swallows connections");
    Ok(())
}

fn with_a_second_thread_nothing_is_touched() -> Tested {
    promise(&[("LISTEN_FDS", "1"), ("LISTEN_PID", &process::id().to_string())]);
    let (ended, wait) = mpsc::channel::<()>();
    let second = thread::Builder::new().spawn(move || wait.recv())?;
    let error = Inherited::from_env().expect_err("a thread might read the environment");
    assert!(matches!(error, InheritError::Threads(2)), "{error}");
    assert!(is_promised(), "the variables should still be there");
    drop(ended);
    let _ = second.join();
    Ok(())
}

fn parent_is_killed_while_its_child_starts() -> Tested {
    let dir = tempfile::tempdir()?;
    let pipe = dir.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU)?;
    let mut program = Program::start(process::Command::new(env::current_exe()?).arg(PARENT).arg(&pipe));
    program.line("the child is there");
    program.signal(Signal::SIGKILL);
    assert_eq!(program.wait(), End::Killed(Signal::SIGKILL));
    // Only now does the child become `show`, which finds another parent than the one that made its channel.
    fs::write(&pipe, "go\n")?;
    program.line("authenticated by a channel");
    Ok(())
}

fn be_parent(pipe: &str) -> Tested {
    let mut passed = PassedFds::new();
    let _channel = passed.add_channel("channel")?;
    let child = "echo the child is there; read go <\"$1\"; exec \"$0\"";
    let show = testkit::example(env!("CARGO_BIN_EXE_inherited-fds"), "show");
    let _child = passed.spawn(Path::new("/bin/sh"), &["-c".into(), child.into(), show.into(), pipe.into()])?;
    loop {
        thread::park();
    }
}
