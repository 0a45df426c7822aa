//! A terminal with a shell on it, as a person uses it.
//!
//! The invariant: what the person types appears at the moment it is typed, before anything that answers it. The
//! terminal itself does not echo: the kernel sends the signal of a Ctrl-C before it echoes `^C`, and a program that is
//! quick would now and then come first.

use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pty_process::blocking::{Pts, Pty};

use super::clean::{without_cargo, without_escapes};
use super::lines::find;

/// All that the shells print as a prompt: no program does. Where it appears among the lines of programs that still run
/// is chance, so a reader sees a prompt where a command is typed, and only there.
pub(crate) const PROMPT: char = '\u{1e}';

/// Our side of a terminal.
pub(crate) struct Terminal {
    pty: Arc<Pty>,
    /// Its other side, and where the sandbox finds it.
    device: PathBuf,
    screen: Arc<Screen>,
    /// Up to here, the screen has been taken away.
    taken: usize,
    /// From here on, the screen shows answers to what was typed last.
    typed: usize,
}

/// Everything that appeared on a terminal.
#[derive(Default)]
struct Screen {
    content: Mutex<Content>,
    changed: Condvar,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    /// Whether no process is left that could write.
    closed: bool,
}

impl Terminal {
    /// Opens a new one. The other side is open until it is dropped; the shell has to be there by then.
    pub(crate) fn open() -> Result<(Terminal, Pts), pty_process::Error> {
        let (pty, pts) = pty_process::blocking::open()?;
        let device = Path::new("/proc/self/fd").join(pts.as_raw_fd().to_string()).read_link()?;
        let (pty, screen) = (Arc::new(pty), Arc::new(Screen::default()));
        thread::spawn({
            let (pty, screen) = (Arc::clone(&pty), Arc::clone(&screen));
            move || screen.fill(&pty)
        });
        Ok((Terminal { pty, device, screen, taken: 0, typed: 0 }, pts))
    }

    /// Where the other side is.
    pub(crate) fn device(&self) -> &Path {
        &self.device
    }

    /// Presses `keys`, which appear as `echo`, and returns where that ends.
    pub(crate) fn press(&mut self, keys: &str, echo: &str) -> Result<usize, String> {
        let mut content = self.screen.lock();
        content.bytes.extend_from_slice(echo.as_bytes());
        self.typed = content.bytes.len();
        // Under the lock, or an answer could come first.
        let pressed = (&*self.pty).write_all(keys.as_bytes()).map(|()| self.typed);
        pressed.map_err(|error| format!("no program reads what is typed: {error}"))
    }

    /// Waits until the shell asks for the next command, or is gone.
    pub(crate) fn await_prompt(&self, timeout: Duration) -> Result<usize, String> {
        let prompt = |content: &Content| {
            let answer = &content.bytes[self.typed..];
            let found = answer.iter().position(|byte| char::from(*byte) == PROMPT).map(|at| self.typed + at);
            found.or_else(|| content.closed.then_some(content.bytes.len()))
        };
        self.screen.wait(timeout, prompt).ok_or_else(|| "the prompt did not come back".to_owned())
    }

    /// Waits for lines that were not taken yet and contain `parts`, and returns where the last of them ends.
    pub(crate) fn await_lines(&self, parts: &[String], timeout: Duration) -> Result<usize, String> {
        let last = |content: &Content| {
            let news = content.bytes.get(self.taken..).unwrap_or_default();
            let whole: Vec<_> = news.split_inclusive(|byte| *byte == b'\n').filter(|it| it.ends_with(b"\n")).collect();
            let lines: Vec<_> = whole.iter().map(|line| readable(line)).collect();
            let last = find(&lines, parts)?.into_iter().max()?;
            Some(self.taken + whole[..=last].iter().map(|line| line.len()).sum::<usize>())
        };
        let missing = || format!("no line with {parts:?} came");
        self.screen.wait(timeout, last).ok_or_else(missing)
    }

    /// Takes away what is on the screen up to `end`.
    pub(crate) fn take(&mut self, end: usize) -> String {
        let content = self.screen.lock();
        let text = content.bytes.get(self.taken..end).unwrap_or_default();
        self.taken = self.taken.max(end);
        String::from_utf8_lossy(text).into_owned()
    }

    /// Everything that ever appeared, for a message.
    pub(crate) fn everything(&self) -> String {
        without_escapes(&String::from_utf8_lossy(&self.screen.lock().bytes)).replace(PROMPT, "")
    }
}

/// A line as a script waits for it: what Cargo says may contain anything.
fn readable(line: &[u8]) -> String {
    without_cargo(&without_escapes(&String::from_utf8_lossy(line)))
}

impl Screen {
    /// A test that fails while it holds the lock must not hide what was on the screen.
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what programs write, until the last of them is gone.
    fn fill(&self, mut pty: &Pty) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = pty.read(&mut buffer) {
            self.lock().bytes.extend_from_slice(&buffer[..length]);
            self.changed.notify_all();
        }
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits until `find` finds something, or nothing more can come.
    fn wait<T>(&self, timeout: Duration, find: impl Fn(&Content) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut content = self.lock();
        loop {
            let found = find(&content);
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || content.closed || left.is_zero() {
                return found;
            }
            content = self.changed.wait_timeout(content, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
