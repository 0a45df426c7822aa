//! A page in Chromium: it asks over HTTP/2 and talks over a websocket, and keeps both connections.

use std::process::Command;

use testkit::{Program, connected, require_program};

use crate::clients::upgrades;
use crate::page::Page;

#[test]
fn chromium_keeps_its_connections() {
    let Some(chromium) = require_program("chromium", "chromium") else { return };
    let Some(mut page) = Page::start() else { return };
    let profile = page.files.path("profile");
    let mut command = Command::new(chromium);
    command
        .env("HOME", &profile)
        .env("TMPDIR", page.files.path(""))
        .arg(format!("--user-data-dir={}", profile.display()));
    // The certificate is no authority's. Containers have little shared memory, and their root no sandbox of Chromium's.
    command.args(["--headless", "--ignore-certificate-errors", "--disable-dev-shm-usage", "--no-sandbox"]);
    command.args([
        "--no-first-run",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]);
    let browser = Program::start(command.arg(format!("https://{}/", page.server.address())));
    page.server.program.line("the page says: generation 1,");
    let connections = connected(page.server.address());
    for generation in 2..=upgrades() + 1 {
        page.upgrade();
        page.server.program.line(&format!("the page says: generation {generation},"));
    }
    assert_eq!(connected(page.server.address()), connections);
    let log = page.server.program.output();
    assert!(!log.contains("failed"), "{log}");
    println!("{}", log.lines().rfind(|line| line.contains("the page says")).unwrap_or_default());
    drop(browser);
    page.ends_well();
}
