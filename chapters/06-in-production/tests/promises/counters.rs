//! What operators look at: totals that never go back, whatever happens to a generation.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;
use testkit::load::Plan;
use testkit::{Wire, await_exit, wait_until};

use crate::control::{Controlled, assert_fails, assert_succeeds, controlled};
use crate::server::BINARY;

type Numbers = BTreeMap<String, u64>;

/// The totals, as `status --json` has them.
fn totals(service: &Controlled) -> Numbers {
    numbers(&service.status()["totals"])
}

fn numbers(value: &Value) -> Numbers {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

/// The same, from the socket itself. `None`: the process that took the connection has ended, or is about to.
fn try_totals(path: &Path) -> Option<Numbers> {
    let mut stream = UnixStream::connect(path).ok()?;
    stream.write_all(b"\"status\"\n").ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    let reply: Value = serde_json::from_str(&line).ok()?;
    Some(numbers(&reply["status"]["totals"]))
}

#[track_caller]
fn assert_grown(before: &Numbers, now: &Numbers) {
    for (name, number) in before.iter().filter(|(name, _)| *name != "connections_open") {
        assert!(now[name] >= *number, "{name} went back from {number} to {}", now[name]);
    }
}

/// Asks until the totals are as they should be, and returns them.
#[track_caller]
fn once(service: &Controlled, what: &str, is_so: impl Fn(&Numbers) -> bool) -> Numbers {
    wait_until(what, || is_so(&totals(service)));
    totals(service)
}

/// The samples of a text in Prometheus's format (version 0.0.4), by name and label. Every sample has to come after the help and
/// the type of its metric.
fn parse(text: &str) -> BTreeMap<&str, &str> {
    let (mut samples, mut described, mut typed) = (BTreeMap::new(), "", "");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a name and a sentence");
            assert!(help.ends_with('.'), "the help of {name} should be a sentence: {help}");
            described = name;
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a type");
            assert_eq!((name, kind == "counter"), (described, name.ends_with("_total")), "{line}");
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            typed = name;
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("this is no sample: {line:?}"));
            let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
            assert_eq!(name, typed, "{line}");
            assert!(labels.ends_with('}'), "{line}");
            value.parse::<f64>().unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(samples.insert(sample, value).is_none(), "{sample} is there twice");
        }
    }
    samples
}

#[test]
fn totals_never_go_back_over_twenty_upgrades_and_are_what_the_clients_have_counted() {
    let mut service = controlled(&[]);
    let load = Plan::new(service.server.address()).think(Duration::ZERO..Duration::from_millis(5)).start();
    load.wait_until_warm();
    let (path, done) = (service.path.clone(), AtomicBool::new(false));
    let readings = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut last, mut readings) = (Numbers::new(), 0);
            while !done.load(Relaxed) {
                if let Some(now) = try_totals(&path) {
                    assert_grown(&last, &now);
                    (last, readings) = (now, readings + 1);
                }
            }
            readings
        });
        for generation in 2..=21 {
            let old = service.server.serving;
            assert_succeeds(&service.ask(&["upgrade"]));
            assert_eq!(totals(&service)["upgrades_succeeded"], generation - 1, "the caller has heard of it");
            service.server.next_generation(1);
            load.wait_for_generation(generation);
            await_exit(old);
        }
        done.store(true, Relaxed);
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    assert!(readings > 40, "the totals were read only {readings} times");
    let tally = load.stop();
    tally.assert_nothing_lost();
    let totals = once(&service, "every connection has ended", |now| now["connections_open"] == 0);
    assert_eq!(totals["requests"], tally.answered, "{totals:?}");
    assert_eq!(totals["requests_finished"], tally.answered, "{totals:?}");
    assert_eq!(totals["connections_accepted"], tally.connections, "{totals:?}");
    assert_eq!(totals["connections_closed"], tally.connections, "{totals:?}");
    assert_eq!(totals["connections_adopted"], totals["connections_handed_over"], "{totals:?}");
    assert!(totals["connections_adopted"] > 0, "{totals:?}");
    assert_eq!((totals["requests_cut"], totals["upgrades_failed"]), (0, 0), "{totals:?}");
}

/// Whether a number stands in the page that all generations share, as a process sees it.
fn has_written(pid: Pid, number: u64) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is there");
    let mut files = files.map(|file| file.expect("we may look").path());
    let is_page =
        |file: &Path| fs::read_link(file).is_ok_and(|to| to.starts_with("/memfd:graceful-counters (deleted)"));
    let page = files.find(|file| is_page(file)).expect("the process has the page");
    fs::read(page).expect("it can be read").as_chunks().0.iter().any(|word| u64::from_le_bytes(*word) == number)
}

#[test]
fn a_generation_that_is_killed_leaves_what_it_had_counted_a_second_ago() {
    let mut service = controlled(&["--probation", "1h"]);
    let first = service.server.serving;
    for _ in 0..10 {
        service.server.assert_answered_by(1);
    }
    assert_succeeds(&service.ask(&["upgrade", "--until", "ready"]));
    service.server.next_generation(1);
    let mut client = Wire::connect(service.server.address());
    for _ in 0..777 {
        client.ask("/");
    }
    // It is not asked, and no transition happens to it.
    wait_until("the new process has written down what it has counted", || has_written(first, 777));
    service.server.signal(Signal::SIGKILL);
    (service.server.serving, service.server.generation) = (first, 0);
    service.server.next_generation(1);
    let after = totals(&service);
    assert_eq!(after["requests"], 787, "{after:?}");
    assert_eq!(after["connections_accepted"], 11, "{after:?}");
    assert_eq!(after["connections_open"], 0, "its connection has died with it: {after:?}");
    assert_eq!(after["upgrades_failed"], 1, "{after:?}");
    // The next one has its generation, and takes its slot over.
    assert_succeeds(&service.ask(&["upgrade", "--until", "ready"]));
    service.server.next_generation(1);
    service.server.assert_answered_by(2);
    let last = once(&service, "the request has ended", |now| now["requests_finished"] == 788);
    assert_grown(&after, &last);
    assert_eq!(numbers(&service.status()["generations"]["2"])["requests"], 1, "its own requests alone");
}

#[test]
fn the_text_is_for_prometheus_and_the_status_has_the_same_numbers() {
    let mut service = controlled(&[]);
    let first = service.server.serving;
    let mut client = Wire::connect(service.server.address());
    client.send("POST /echo HTTP/1.1\r\nhost: lab\r\ncontent-length: 10\r\n\r\nfirst");
    client.wait_for("first");
    assert_succeeds(&service.ask(&["upgrade"]));
    service.server.next_generation(1);
    service.server.assert_answered_by(2);
    once(&service, "the connection to the second generation has ended", |now| now["connections_closed"] == 1);

    let text = assert_succeeds(&service.ask(&["metrics"]));
    let samples = parse(&text);
    let status = service.status();
    assert_eq!(samples["graceful_generation"], "2");
    let began = samples["graceful_process_start_time_seconds"].split('.').next();
    assert_eq!(began, Some(&*status["since"].to_string()));
    let mut compared = 0;
    let mut compare = |numbers: Numbers, prefix: &str, label: &str| {
        for (name, number) in numbers {
            let suffix = if name == "connections_open" { "" } else { "_total" };
            let name = format!("{prefix}{name}{suffix}{label}");
            assert_eq!(samples.get(&*name).copied(), Some(&*number.to_string()), "{name}");
            compared += 1;
        }
    };
    compare(numbers(&status["totals"]), "graceful_", "");
    let generations = status["generations"].as_object().expect("by number");
    assert_eq!(generations.keys().collect::<Vec<_>>(), ["1", "2"], "the first one still has a request");
    for (generation, of_it) in generations {
        compare(numbers(of_it), "graceful_generation_", &format!("{{generation=\"{generation}\"}}"));
    }
    assert_eq!(compared + 2, samples.len(), "{samples:#?}");
    assert_eq!(generations["1"]["connections_open"], 1, "{status}");
    assert_eq!(status["totals"]["connections_open"], 1, "{status}");
    assert_eq!(status["totals"]["requests"], 2, "{status}");

    client.send("and more..");
    await_exit(first);
    assert!(service.status()["generations"].get("1").is_none(), "it has ended");
    assert_eq!(totals(&service)["requests"], 2);
}

#[test]
fn what_a_deadline_cuts_and_an_upgrade_that_fails_are_counted() {
    let service = controlled(&["--drain-timeout", "300ms"]);
    let good = service.deployment.server();
    service.deployment.put_script("exit 7");
    assert_fails(&service.ask(&["upgrade"]));
    assert_eq!(totals(&service)["upgrades_failed"], 1);
    fs::remove_file(good).expect("it is ours");
    service.deployment.put_binary();
    let mut client = Wire::connect(service.server.address());
    client.send("POST /echo HTTP/1.1\r\nhost: lab\r\ncontent-length: 10\r\n\r\nfirst");
    client.wait_for("first");
    let first = service.server.serving;
    assert_succeeds(&service.ask(&["upgrade"]));
    await_exit(first);
    let totals = totals(&service);
    assert_eq!((totals["requests_cut"], totals["connections_closed"]), (1, 1), "{totals:?}");
    assert_eq!((totals["upgrades_succeeded"], totals["upgrades_failed"]), (1, 1), "{totals:?}");
}

#[test]
fn counters_of_another_kind_begin_at_zero_with_a_warning_and_refuse_nothing() {
    for content in [&[0_u8; 4096][..], b""] {
        let mut service = controlled(&[]);
        service.server.assert_answered_by(1);
        let file = service.deployment.path().join("other");
        fs::write(&file, content).expect("it is ours");
        // Puts the file in the place of the page.
        service.deployment.put_script(&format!(
            "number=3; for name in $(echo $LISTEN_FDNAMES | tr : ' '); do \
             [ $name = counters ] && break; number=$((number + 1)); done; \
             eval \"exec $number<>'{}'\"; exec {BINARY} \"$@\"",
            file.display()
        ));
        assert_succeeds(&service.ask(&["upgrade"]));
        service.server.program.line("the counters begin at zero");
        service.server.next_generation(1);
        service.server.assert_answered_by(2);
        let now = once(&service, "the request has ended", |now| now["requests_finished"] == 1);
        assert_eq!(now["requests"], 1, "its own alone: {now:?}");
        assert_eq!(fs::read(&file).expect("it is there"), content, "what is not ours was written to");
        // And the next one counts on.
        let second = service.server.serving;
        assert_succeeds(&service.ask(&["upgrade"]));
        service.server.next_generation(1);
        service.server.assert_answered_by(3);
        await_exit(second);
        let now = once(&service, "both requests have ended", |now| now["requests_finished"] == 2);
        assert_eq!(now["upgrades_succeeded"], 1, "{now:?}");
    }
}
