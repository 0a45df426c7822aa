//! A page in Chromium: it asks over HTTP/2 and talks over a websocket, and keeps both connections.

use std::process::Command;

use nix::sys::signal::Signal;
use testkit::{Generations, Program, await_exit, connected, example, require_program};

use crate::clients::upgrades;
use crate::server::{BINARY, Files};

#[test]
fn chromium_keeps_its_connections() {
    let Some(chromium) = require_program("chromium", "chromium") else { return };
    let Some(files) = Files::make() else { return };
    let mut page = Command::new(example(BINARY, "page"));
    let mut server = Generations::start(page.env("NO_COLOR", "1").arg(files.path("both")).arg("127.0.0.1:0"), 1);
    let profile = files.path("profile");
    let mut command = Command::new(chromium);
    command.env("HOME", &profile).env("TMPDIR", files.path("")).arg(format!("--user-data-dir={}", profile.display()));
    // The certificate is no authority's. Containers have little shared memory, and their root no sandbox of Chromium's.
    command.args(["--headless", "--ignore-certificate-errors", "--disable-dev-shm-usage", "--no-sandbox"]);
    command.args([
        "--no-first-run",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]);
    let browser = Program::start(command.arg(format!("https://{}/", server.address())));
    server.program.line("the page says: generation 1,");
    let connections = connected(server.address());
    let mut old = None;
    for _ in 0..upgrades() {
        // The next upgrade ends the probation of the one before.
        if let Some(older) = old.replace(server.upgrade()) {
            await_exit(older);
        }
        server.program.line(&format!("the page says: generation {},", server.generation));
    }
    assert_eq!(connected(server.address()), connections);
    let log = server.program.output();
    assert!(!log.contains("failed"), "{log}");
    println!("{}", log.lines().rfind(|line| line.contains("the page says")).unwrap_or_default());
    drop(browser);
    server.signal(Signal::SIGTERM);
    server.program.wait();
}
