//! A program under test, with everything it starts.
//!
//! The invariant: a [`Program`] leads a process group of its own, and this process is a subreaper, so every generation
//! that the program starts stays within reach, however often its parents exit. Dropping it kills and reaps that group,
//! and nothing else. So does Ctrl-C.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpgid};

use crate::end::{End, exits_within, reap};
use crate::timeout::{GaveUp, TIMEOUT};
use crate::transitions;

/// The groups that are alive, for the thread that ends them on Ctrl-C.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A running program, its output, and all its descendants.
#[derive(Debug)]
pub struct Program {
    /// Leader of the group, and so the id of the group. Not reaped before `end` is set, so the id stays ours.
    leader: Pid,
    end: Option<End>,
    log: Arc<Log>,
    /// How many lines each pattern has matched already: a line is handed out once per pattern.
    seen: HashMap<String, usize>,
}

#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    text: Vec<String>,
    /// The transitions of the protocol.
    transitions: Vec<String>,
    /// Ends of the two pipes that were reached. Both are reached once no generation is left to write.
    closed: usize,
}

impl Program {
    /// Starts `command` in a process group of its own and reads its stdout and stderr as one log of lines.
    ///
    /// # Panics
    /// If the program cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Program {
        Program::try_start(command).unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
    }

    /// [`start`](Program::start) without the panic.
    ///
    /// # Errors
    /// If the program cannot be started: no such file, not executable …
    #[expect(clippy::missing_panics_doc, reason = "the pipes were asked for")]
    pub fn try_start(command: &mut Command) -> io::Result<Program> {
        become_its_keeper();
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let aside = transitions::ask(command);
        // Held from before the program starts until its group is in the list: Ctrl-C in between would miss it.
        let mut groups = locked(&GROUPS);
        let mut child = command.spawn()?;
        let leader = Pid::from_raw(child.id().cast_signed());
        groups.push(leader);
        drop(groups);
        let log = Arc::new(Log::default());
        read_lines(child.stdout.take().expect("stdout is a pipe"), Arc::clone(&log), aside);
        read_lines(child.stderr.take().expect("stderr is a pipe"), Arc::clone(&log), aside);
        Ok(Program { leader, end: None, log, seen: HashMap::new() })
    }

    /// The process that was started (a later generation has another one).
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.leader
    }

    /// Sends a signal to the process that was started.
    ///
    /// # Panics
    /// If it has ended and its end was seen: its pid may be another process's by now.
    pub fn signal(&self, signal: Signal) {
        assert!(self.end.is_none(), "the program has ended; its log:\n{}", self.output());
        kill(self.leader, signal).expect("an unreaped child can be signalled");
    }

    /// Waits for the next line that contains `pattern` and returns it.
    ///
    /// Each pattern has its own place in the log, so two calls with the same pattern need two lines, and the order in
    /// which two processes write does not matter.
    ///
    /// # Panics
    /// If no such line comes, with the whole log.
    pub fn line(&mut self, pattern: &str) -> String {
        self.try_line(pattern).unwrap_or_else(|gave_up| panic!("{gave_up}"))
    }

    /// [`line`](Program::line) without the panic.
    ///
    /// # Errors
    /// If no such line comes, with the whole log.
    pub fn try_line(&mut self, pattern: &str) -> Result<String, GaveUp> {
        let skip = self.seen.entry(pattern.to_owned()).or_default();
        let deadline = Instant::now() + TIMEOUT;
        let mut lines = locked(&self.log.lines);
        loop {
            if let Some(line) = lines.text.iter().filter(|line| line.contains(pattern)).nth(*skip) {
                *skip += 1;
                return Ok(line.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.closed == 2 {
                let log = if lines.text.is_empty() { "(empty)".to_owned() } else { lines.text.join("\n") };
                return Err(GaveUp(format!("no line number {} with {pattern:?} in the log:\n{log}", *skip + 1)));
            }
            lines = self.log.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the line `listening` and returns the address it names.
    ///
    /// # Panics
    /// If no such line comes, or it names none.
    pub fn listening(&mut self) -> String {
        let line = self.line("listening");
        field(&line, "address").unwrap_or_else(|| panic!("no address in {line:?}")).to_owned()
    }

    /// How many lines so far contain `pattern`.
    #[must_use]
    pub fn count(&self, pattern: &str) -> usize {
        locked(&self.log.lines).text.iter().filter(|line| line.contains(pattern)).count()
    }

    /// Everything written so far.
    #[must_use]
    pub fn output(&self) -> String {
        locked(&self.log.lines).text.join("\n")
    }

    /// Whether the process that was started has not ended yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.end.is_none() && !exits_within(self.leader, Duration::ZERO)
    }

    /// Waits until the process that was started has ended. Later generations may live on.
    ///
    /// # Panics
    /// If it does not end, with its log.
    pub fn wait(&mut self) -> End {
        if let Some(end) = self.end {
            return end;
        }
        assert!(exits_within(self.leader, TIMEOUT), "pid {} does not end; its log:\n{}", self.leader, self.output());
        let end = reap(self.leader).expect("the leader is our child, and nothing else reaps it");
        self.end = Some(end);
        end
    }

    /// Waits until the process and every generation after it are gone, and returns the whole output.
    ///
    /// # Panics
    /// If a process still holds the program's output open.
    pub fn wait_all(&mut self) -> String {
        let deadline = Instant::now() + TIMEOUT;
        let mut lines = locked(&self.log.lines);
        while lines.closed < 2 {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "a process still holds the log open:\n{}", lines.text.join("\n"));
            lines = self.log.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        lines.text.join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // As long as a member of the group is unreaped, the kernel does not give its id away.
        let _ = killpg(self.leader, Signal::SIGKILL);
        // A grandchild becomes our child when its parent dies, so it may take several rounds.
        while !matches!(waitpid(Pid::from_raw(-self.leader.as_raw()), None), Err(Errno::ECHILD)) {
            let _ = killpg(self.leader, Signal::SIGKILL);
        }
        locked(&GROUPS).retain(|group| *group != self.leader);
        if !thread::panicking() {
            let lines = locked(&self.log.lines);
            transitions::check(&lines.transitions, &lines.text);
        }
    }
}

/// The value of `key` in a log line: `field("listening address=[::1]:80 pid=7", "pid")` is `Some("7")`.
#[must_use]
pub fn field<'line>(line: &'line str, key: &str) -> Option<&'line str> {
    line.split_whitespace()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        .map(|value| value.trim_matches('"'))
}

/// The sender of the last SIGTERM.
static TERM_FROM: AtomicI32 = AtomicI32::new(0);

/// A server may end its parent, as grace does when it has taken over. The parent of an orphan is us.
fn comes_from_one_of_ours() -> bool {
    let sender = Pid::from_raw(TERM_FROM.load(Relaxed));
    getpgid(Some(sender)).is_ok_and(|group| locked(&GROUPS).contains(&group))
}

/// Makes orphaned generations ours, and ends all groups when this process is told to end.
fn become_its_keeper() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        nix::sys::prctl::set_child_subreaper(true).expect("any process may become a subreaper");
        let ends = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].map(|signal| signal as i32);
        // SAFETY: a handler may do only what is async-signal-safe (signal-safety(7)), and an atomic is.
        let noted = unsafe {
            signal_hook_registry::register_sigaction(Signal::SIGTERM as i32, |info| {
                TERM_FROM.store(info.si_pid(), Relaxed);
            })
        };
        noted.expect("this signal can be caught");
        let mut signals = signal_hook::iterator::Signals::new(ends).expect("these signals can be caught");
        thread::spawn(move || {
            for signal in signals.forever() {
                if signal == Signal::SIGTERM as i32 && comes_from_one_of_ours() {
                    continue;
                }
                // Held until this process is gone, so that none is started any more.
                let groups = locked(&GROUPS);
                for group in groups.iter() {
                    let _ = killpg(*group, Signal::SIGKILL);
                }
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        });
    });
}

fn read_lines(from: impl Read + Send + 'static, log: Arc<Log>, aside: bool) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            let mut lines = locked(&log.lines);
            let is_transition = transitions::is_one(&text);
            lines.transitions.extend(is_transition.then(|| text.clone()));
            lines.text.extend((!is_transition || !aside).then_some(text));
            drop(lines);
            log.changed.notify_all();
        }
        locked(&log.lines).closed += 1;
        log.changed.notify_all();
    });
}

/// Whether `pid` is the process that a [`Program`] started: the `Program` alone may reap it, or another group could get
/// its id.
pub(crate) fn leads(pid: Pid) -> bool {
    locked(&GROUPS).contains(&pid)
}

/// A test that fails while it holds a lock must not fail every other test.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
