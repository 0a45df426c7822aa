//! Says what it inherited, then starts a command, which inherits none of it.
//!
//! `systemd-socket-activate --listen 2000 --fdname web target/debug/examples/show env`

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::fd::AsRawFd as _;
use std::process::{Command, ExitCode};

use inherited_fds::Inherited;

fn main() -> ExitCode {
    match show() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show() -> Result<(), Box<dyn Error>> {
    let (mut inherited, channel) = Inherited::from_parent("channel")?;
    // The parent may want to read the report, and to decide when this process ends.
    let (report, hold) = (inherited.take("report"), inherited.take("hold"));
    let mut report: Box<dyn Write> = match report {
        Some(report) => Box::new(File::from(report)),
        None => Box::new(io::stdout()),
    };
    if channel.is_some() {
        writeln!(report, "authenticated by a channel")?;
    }
    let names: Vec<String> = inherited.names().map(str::to_owned).collect();
    let mut kept = Vec::new();
    for name in names {
        let fd = inherited.take(&name).ok_or("a name that was listed can be taken")?;
        let number = fd.as_raw_fd();
        let target = fs::read_link(format!("/proc/self/fd/{number}"))?;
        writeln!(report, "{number} {name} {}", target.display())?;
        kept.push(fd);
    }
    let mut command = env::args_os().skip(1);
    if let Some(program) = command.next() {
        report.write_all(&Command::new(program).args(command).output()?.stdout)?;
    }
    writeln!(report, "that is all")?;
    if let Some(hold) = hold {
        File::from(hold).read_to_end(&mut Vec::new())?;
    }
    Ok(())
}
