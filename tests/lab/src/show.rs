//! What a person sees while a run is under way.
//!
//! The invariant: it goes to stderr, drawn over itself on a terminal and line by line into anything else; stdout is
//! for the report.

use std::fmt::Display;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::duration;
use crate::restart::RESTARTS;
use crate::upgrade_run::Upgrade;

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Something under way. It disappears from the terminal when it is dropped.
#[derive(Debug)]
pub struct Show {
    bar: ProgressBar,
    name: String,
    upgrades: u32,
}

impl Show {
    /// Something that takes a while, for an unknown time.
    #[must_use]
    pub fn task(name: &str) -> Show {
        let bar = ProgressBar::new_spinner().with_message(name.to_owned());
        bar.enable_steady_tick(TICK);
        Show::new(bar, name, 0)
    }

    /// A number of upgrades under one load.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the template is well-formed")]
    pub fn upgrades(scenario: impl Display, upgrades: u32) -> Show {
        let style = ProgressStyle::with_template("{spinner} {prefix}: upgrade {pos} of {len} {bar:20} {msg}");
        let bar = ProgressBar::new(upgrades.into()).with_prefix(scenario.to_string());
        bar.set_style(style.expect("the template is well-formed"));
        bar.enable_steady_tick(TICK);
        Show::new(bar, &scenario.to_string(), upgrades)
    }

    /// This many strategies, each `repeats` times in turn, each time with [`RESTARTS`] restarts.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the template is well-formed")]
    pub fn turns(strategies: usize, repeats: u32) -> Show {
        let style = ProgressStyle::with_template("{spinner} {bar:20} {msg} ({eta} left)");
        let bar = ProgressBar::new(u64::from(repeats) * u64::from(RESTARTS) * strategies as u64);
        bar.set_style(style.expect("the template is well-formed"));
        bar.enable_steady_tick(TICK);
        Show { bar, name: String::new(), upgrades: 0 }
    }

    /// A strategy has restarted its server `restarts` times in this repeat, or is about to begin.
    pub fn restarted(&self, strategy: &str, repeat: u32, restarts: u32) {
        let Show { bar, .. } = self;
        bar.set_message(format!("run {repeat}, {strategy}: restart {restarts} of {RESTARTS}"));
        if restarts > 0 {
            bar.inc(1);
        }
        if bar.is_hidden() {
            eprintln!("run {repeat}, {strategy}: restart {restarts} of {RESTARTS}");
        }
    }

    fn new(bar: ProgressBar, name: &str, upgrades: u32) -> Show {
        if bar.is_hidden() {
            eprintln!("{name} …");
        }
        Show { bar, name: name.to_owned(), upgrades }
    }

    /// One more is done.
    pub fn upgraded(&self, number: u32, upgrade: &Upgrade) {
        let Show { bar, name, upgrades } = self;
        let Upgrade { first_answer, old_gone, lost } = upgrade;
        let (answer, gone) = (duration(*first_answer), duration(*old_gone));
        let what = format!("new process answers after {answer}, old one gone after {gone}, {lost} lost");
        bar.set_position(number.into());
        bar.set_message(what.clone());
        if bar.is_hidden() {
            eprintln!("{name}: upgrade {number} of {upgrades}: {what}");
        }
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
