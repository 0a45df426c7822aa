//! Ways to restart a server, side by side: each under the same load, as often as the others, and in turn with them.
//!
//! The invariant: every way meets the same clients, and what is said about it is what they saw. Nothing is asked of a
//! server but that its answers carry `x-pid`; so one process or several, ours or somebody else's, all are measured alike.
//!
//! A way to restart is a [`Strategy`]. Started, it is a [`Running`] server; [`measure`] puts it under load, restarts it
//! again and again, and returns one [`Run`]. [`side_by_side`] does so for many, in turns, and keeps the medians.
//! [`table()`] prints them, and a [`Comparison`] is written for the book.

mod column;
mod draw;
mod figures;
mod measure;
mod ours;
mod prober;
mod strategy;
mod table;
mod turns;
mod write;

pub use column::{COLUMNS, Column};
pub use draw::draw;
pub use figures::{Figures, Fresh, Restart, Run};
pub use measure::{CONNECTIONS, RESTARTS, measure};
pub use ours::Ours;
pub use prober::{Probe, Prober};
pub use strategy::{CannotMeasure, Running, Strategy};
pub use table::table;
pub use turns::{Outcome, side_by_side};
pub use write::Comparison;
