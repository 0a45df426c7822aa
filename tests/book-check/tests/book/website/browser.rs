//! Chromium, told what to do through chromedriver.
//!
//! The invariant: every process of it is in the group of the driver, which is killed and reaped with the [`Browser`],
//! and every file it writes is in a directory that is gone then. No request leaves the machine: no name but the
//! loopback's resolves.

use std::process::Command;
use std::str::FromStr;

use fantoccini::error::{CmdError, NewSessionError};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use nix::unistd::geteuid;
use reqwest::Url;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Program, require_program};

/// How long a script on a page may take. Only a failing test waits so long, or one on a machine with much else to do.
const TIMEOUT_MILLISECONDS: u32 = 120_000;

/// The browser, and what drives it.
#[derive(Debug)]
pub(crate) struct Browser {
    chromium: String,
    address: String,
    _driver: Program,
    _files: TempDir,
}

/// A window of the browser, that shares nothing with the others.
#[derive(Debug)]
pub(crate) struct Tab(Client);

impl Browser {
    /// Starts the driver, or says how to get what is missing.
    pub(crate) fn start() -> Option<Browser> {
        let chromium = require_program("chromium", "chromium")?;
        let driver = require_program("chromedriver", "chromium-driver")?;
        let files = TempDir::new().expect("a temporary directory");
        let mut command = Command::new(driver);
        command.arg("--port=0").env("HOME", files.path()).env("TMPDIR", files.path());
        command.env_remove("XDG_CACHE_HOME").env_remove("XDG_CONFIG_HOME");
        let mut driver = Program::start(&mut command);
        let line = driver.line("started successfully on port");
        let port = line.rsplit(' ').next().unwrap_or_default().trim_end_matches('.');
        let address = format!("http://127.0.0.1:{port}");
        Some(Browser { chromium: chromium.display().to_string(), address, _driver: driver, _files: files })
    }

    /// Opens a window.
    pub(crate) async fn open(&self) -> Result<Tab, NewSessionError> {
        let mut arguments = vec![
            "--headless",
            "--window-size=1280,900",
            // A phone's bar takes no room either.
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            // What fades in is looked at before it is there.
            "--force-prefers-reduced-motion",
            // Containers have little of it.
            "--disable-dev-shm-usage",
        ];
        if geteuid().is_root() {
            // Chromium refuses to be root in its own sandbox.
            arguments.push("--no-sandbox");
        }
        let capabilities = json!({
            "browserName": "chrome",
            "timeouts": { "script": TIMEOUT_MILLISECONDS },
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "binary": self.chromium, "args": arguments },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object stands above") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        Ok(Tab(builder.connect(&self.address).await?))
    }
}

impl std::ops::Deref for Tab {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

impl Tab {
    /// Runs a script, waits until it calls its last argument, and returns what it calls it with.
    pub(crate) async fn ask(&self, script: &str) -> Result<Value, CmdError> {
        self.0.execute_async(script, Vec::new()).await
    }

    /// Makes the page this wide; `None` for as wide as the window.
    pub(crate) async fn set_width(&self, width: Option<u32>) -> Result<(), CmdError> {
        let body = match width {
            Some(width) => json!({
                "cmd": "Emulation.setDeviceMetricsOverride",
                "params": { "width": width, "height": 740, "deviceScaleFactor": 1, "mobile": false },
            }),
            None => json!({ "cmd": "Emulation.clearDeviceMetricsOverride", "params": {} }),
        };
        self.0.issue_cmd(Chromium { command: "goog/cdp/execute", body }).await?;
        Ok(())
    }

    /// The errors that the browser's console has shown since the last call.
    pub(crate) async fn console_errors(&self) -> Result<Vec<String>, CmdError> {
        let log = self.0.issue_cmd(Chromium { command: "se/log", body: json!({ "type": "browser" }) }).await?;
        let entries = log.as_array().into_iter().flatten();
        let errors = entries.filter(|entry| entry["level"] == "SEVERE").filter_map(|entry| entry["message"].as_str());
        Ok(errors.map(str::to_owned).collect())
    }
}

/// A command that only this driver knows.
#[derive(Debug)]
struct Chromium {
    command: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Chromium {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.command))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
