//! The counters as Prometheus reads them: its text format, version 0.0.4.
//!
//! The invariant: each number is there twice, as that of all generations, which never goes back, and by generation, for as long
//! as that one is alive. A query that adds up the latter would go back at an upgrade.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::{Counters, KINDS, OPEN, Reading};

impl Counters {
    /// The text.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let Reading { totals, generations } = self.read();
        let by_generation = |name| {
            let own = generations.iter();
            own.map(move |(generation, own)| ([("generation", generation.to_string())], own[name]))
        };
        let since = self.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut registry = Registry::with_prefix("graceful");
        registry.register("generation", "The generation that answers", ConstGauge::new(self.generation));
        let help = "When the process of this generation began, in seconds since 1970";
        registry.register("process_start_time_seconds", help, ConstGauge::new(since));
        let (name, help) = OPEN;
        registry.register(name, in_all(help), ConstGauge::new(totals[name]));
        let family = Family::<_, Gauge>::default();
        for (label, open) in by_generation(name) {
            family.get_or_create(&label).set(open.cast_signed());
        }
        registry.register(format!("generation_{name}"), in_each(help), family);
        for (name, help) in KINDS {
            registry.register(name, in_all(help), ConstCounter::new(totals[name]));
            let family = Family::<_, Counter>::default();
            for (label, number) in by_generation(name) {
                family.get_or_create(&label).inc_by(number);
            }
            registry.register(format!("generation_{name}"), in_each(help), family);
        }
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

fn in_all(help: &str) -> String {
    format!("{help}: all generations so far")
}

fn in_each(help: &str) -> String {
    format!("{help}: each generation that is alive")
}
