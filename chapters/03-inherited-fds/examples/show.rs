//! Says what it inherited, then starts a command, which inherits none of it.
//!
//! `systemd-socket-activate --listen 2000 --fdname web target/debug/examples/show env`

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::process::{Command, ExitCode};

use clap::Parser;
use inherited_fds::Inherited;
use signal_channel::exit;

/// Says what it inherited
#[derive(Parser)]
struct Args {
    /// The descriptor that vouches for the others where LISTEN_PID is not set
    #[arg(long, value_name = "NAME")]
    vouched_by: Option<String>,

    /// Claim the UDP socket "echo" that is bound to this address, and send one datagram back
    #[arg(long, value_name = "ADDR")]
    echo: Option<SocketAddr>,

    /// A command to start afterwards
    #[arg(trailing_var_arg = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    exit::run(|args: Args| show(&args).map(|()| ExitCode::SUCCESS))
}

fn show(args: &Args) -> Result<(), Box<dyn Error>> {
    let mut inherited = match &args.vouched_by {
        Some(channel) => Inherited::from_env_vouched_by(channel)?,
        None => Inherited::from_env()?,
    };
    if let Some(address) = args.echo {
        let socket = inherited.udp("echo", address)?.ok_or("no UDP socket was handed over")?;
        echo_once(socket)?;
    }

    // Whoever started us may want to read along, and to say when we may end.
    let (report, hold) = (inherited.take("report"), inherited.take("hold"));
    let mut report: Box<dyn Write> = match report {
        Some(report) => Box::new(File::from(report)),
        None => Box::new(io::stdout()),
    };
    let names: Vec<String> = inherited.names().map(str::to_owned).collect();
    let mut kept = Vec::new();
    for name in names {
        let fd = inherited.take(&name).ok_or("a name that was listed can be taken")?;
        let number = fd.as_raw_fd();
        let target = fs::read_link(format!("/proc/self/fd/{number}"))?;
        writeln!(report, "{number} {name} {}", target.display())?;
        kept.push(fd);
    }
    if let [program, arguments @ ..] = args.command.as_slice() {
        report.write_all(&Command::new(program).args(arguments).output()?.stdout)?;
    }
    writeln!(report, "that is all")?;
    if let Some(hold) = hold {
        File::from(hold).read_to_end(&mut Vec::new())?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn echo_once(socket: std::net::UdpSocket) -> io::Result<()> {
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    let mut datagram = [0; 1024];
    let (length, sender) = socket.recv_from(&mut datagram).await?;
    socket.send_to(&datagram[..length], sender).await?;
    Ok(())
}
