//! Wrong turn: offer all connections at once. Each of them waits until all before it are over, and so does its client.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use connection_handover::handover;
use graceful_shutdown::{Heir, Offer, Options, demo, log_to_stderr};
use graceful_upgrade::{Adopter, Config, Handover, Service, run_with};
use signal_channel::exit;

// ANCHOR: wrong
/// The heir of this chapter, in a hurry.
#[derive(Debug)]
struct AllAtOnce(Arc<dyn Heir>);

impl Heir for AllAtOnce {
    fn take(&self, offer: Offer) {
        self.0.take(offer);
    }

    fn at_a_time(&self) -> usize {
        usize::MAX
    }
}
// ANCHOR_END: wrong

struct InAHurry(Box<dyn Handover>);

impl Handover for InAHurry {
    fn heir(&self, channel: OwnedFd) -> io::Result<Arc<dyn Heir>> {
        Ok(Arc::new(AllAtOnce(self.0.heir(channel)?)))
    }

    fn arrivals(
        &self,
        channel: OwnedFd,
        adopter: Adopter,
    ) -> io::Result<Pin<Box<dyn Future<Output = ()> + Send + 'static>>> {
        self.0.arrivals(channel, adopter)
    }
}

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    exit::run(|args: Args| serve(args.options))
}

fn serve(Options { listen, drain_timeout }: Options) -> Result<ExitCode, Box<dyn std::error::Error>> {
    log_to_stderr()?;
    let services = listen.into_iter().zip(demo::names()).map(|(address, name)| {
        Service::new(name.clone(), address, move |context| {
            demo::service(&name, context.generation, context.draining.clone())
        })
    });
    let config = Config { drain_timeout, ready_timeout: Duration::from_secs(10), pid_file: None };
    Ok(run_with(config, services.collect(), Some(Box::new(InAHurry(handover()))))?)
}
