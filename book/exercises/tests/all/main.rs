//! Whether an exercise is solved. What a test says when it fails is meant to help.

mod ch1_errno;
mod ch1_queue;
mod ch1_reload;
mod ch2_accept;
mod ch2_deadline;
mod ch2_guard;
mod ch3_cloexec;
mod ch3_names;
mod ch3_places;
mod ch4_ready;
mod ch4_table;
mod ch5_claim;
mod ch5_unparsed;
mod ch6_pid_file;
