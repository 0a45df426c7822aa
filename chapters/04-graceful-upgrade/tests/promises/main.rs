//! Chapter 4's promises, checked against the real program.
//!
//! One binary for all of them, so that they are linked once and run side by side.

mod burst;
mod compared;
mod environments;
mod failures;
mod files;
mod generations;
mod load;
mod program_path;
mod refusals;
mod scarcity;
mod server;
mod third_party;
mod wrong_turns;
