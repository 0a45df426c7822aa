//! Experiment: which thread runs the handler.
//!
//! A signal to the process goes to any one thread that does not block it; a signal to a thread goes to that thread;
//! what every thread blocks is pending (signal(7)).

use std::ffi::c_int;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::unix::thread::JoinHandleExt;
use std::sync::{OnceLock, mpsc};
use std::{fs, thread};

use nix::sys::pthread::{Pthread, pthread_kill};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, kill, sigaction};
use nix::unistd::{getpid, gettid, write};

const SIGNAL: Signal = Signal::SIGUSR1;

static HANDLED_BY: OnceLock<PipeWriter> = OnceLock::new();

extern "C" fn on_signal(_number: c_int) {
    if let Some(pipe) = HANDLED_BY.get() {
        let _ = write(pipe, &gettid().as_raw().to_ne_bytes());
    }
}

fn main() -> io::Result<()> {
    // Threads inherit the mask of their creator: all of them begin with the signal blocked.
    SigSet::from(SIGNAL).thread_block()?;
    let mut handled = install()?;
    let (alice, bob) = (Worker::spawn("alice"), Worker::spawn("bob"));
    let mut who = || -> io::Result<&str> {
        let mut bytes = [0; 4];
        handled.read_exact(&mut bytes)?;
        let tid = i32::from_ne_bytes(bytes);
        Ok([&alice, &bob].iter().find(|worker| worker.tid == tid).map_or("main", |worker| worker.name))
    };

    alice.mask(SigmaskHow::SIG_UNBLOCK);
    kill(getpid(), SIGNAL)?;
    println!("to the process, only alice lets it in:   {}", who()?);

    bob.mask(SigmaskHow::SIG_UNBLOCK);
    pthread_kill(bob.pthread, SIGNAL)?;
    println!("to bob, both let it in:                  {}", who()?);

    alice.mask(SigmaskHow::SIG_BLOCK);
    kill(getpid(), SIGNAL)?;
    println!("to the process, only bob lets it in:     {}", who()?);

    bob.mask(SigmaskHow::SIG_BLOCK);
    kill(getpid(), SIGNAL)?;
    println!("to the process, nobody lets it in:       ShdPnd {}", pending()?);

    alice.mask(SigmaskHow::SIG_UNBLOCK);
    println!("then alice lets it in:                   {}, ShdPnd {}", who()?, pending()?);
    Ok(())
}

/// A thread that changes its signal mask when told to, and does nothing else.
struct Worker {
    name: &'static str,
    tid: i32,
    pthread: Pthread,
    orders: mpsc::Sender<SigmaskHow>,
    done: mpsc::Receiver<i32>,
}

impl Worker {
    fn spawn(name: &'static str) -> Worker {
        let (orders, ordered) = mpsc::channel();
        let (report, done) = mpsc::channel();
        let thread = thread::spawn(move || {
            let tid = gettid().as_raw();
            let _ = report.send(tid);
            for how in ordered {
                let _ = SigSet::from(SIGNAL).thread_swap_mask(how);
                let _ = report.send(tid);
            }
        });
        Worker { name, tid: done.recv().unwrap_or_default(), pthread: thread.as_pthread_t(), orders, done }
    }

    fn mask(&self, how: SigmaskHow) {
        let _ = self.orders.send(how);
        let _ = self.done.recv();
    }
}

fn install() -> io::Result<PipeReader> {
    let (reader, writer) = io::pipe()?;
    HANDLED_BY.set(writer).map_err(|_| io::ErrorKind::AlreadyExists)?;
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: signal-safety(7): a handler may only do what is async-signal-safe: here an atomic load, the system call
    // gettid(2) and write(2). The pipe never fills, so the write does not wait and leaves errno alone.
    unsafe { sigaction(SIGNAL, &action) }?;
    Ok(reader)
}

/// The signals pending for the process as a whole: bit n - 1 for signal n (proc(5)).
fn pending() -> io::Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap_or_default();
    Ok(mask.trim().to_owned())
}
