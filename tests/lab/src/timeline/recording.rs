//! One restart, as it was seen from outside.
//!
//! The invariant: all times are milliseconds since the signal, those before it negative.

use super::way::Way;

/// What one restart did to the clients.
#[derive(Debug)]
pub struct Recording {
    /// How the server was restarted.
    pub way: Way,
    /// Each client asks one request after the other.
    pub clients: u32,
    /// Every request.
    pub bars: Vec<Bar>,
    /// When the old process was there, as far as the picture goes.
    pub old: Span,
    /// When the new process was there and listened.
    pub new: Span,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// When it began.
    pub from: f64,
    /// When it ended.
    pub to: f64,
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    /// Who asked.
    pub client: u32,
    /// From the request to its end.
    pub span: Span,
    /// Who answered.
    pub by: By,
}

/// Who answered a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The process that got the signal.
    Old,
    /// The one after it.
    New,
    /// Nobody: the connection was there, and then no more.
    NobodyCut,
    /// Nobody: no connection came about.
    NobodyRefused,
}

impl Recording {
    /// How many requests came to this end.
    #[must_use]
    pub fn count(&self, by: By) -> usize {
        self.bars.iter().filter(|bar| bar.by == by).count()
    }

    /// How many were answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.count(By::Old) + self.count(By::New)
    }

    /// How many were not.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.count(By::NobodyCut) + self.count(By::NobodyRefused)
    }

    /// The time in which nobody listened, if there was any: from the signal on, at which a process that is killed is gone
    /// and one that drains closes its listener.
    #[must_use]
    pub fn silence(&self) -> Option<Span> {
        (self.way != Way::Upgrade).then_some(Span { from: 0.0, to: self.new.from })
    }
}
