//! The real program, built once for each run of tests and run as its users run it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use tokio::process::{Child, Command};

static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// The path of the program, built as these tests were.
pub fn binary() -> PathBuf {
    let build = || {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        // What cargo tells a test of its package is no setting of a build; some dependencies would be built anew for it.
        let of_this_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in std::env::vars().filter(|(name, _)| of_this_package(name)) {
            cargo.env_remove(name);
        }
        let built = cargo
            .args(["build", "--locked", "--workspace", "--all-features", "--bin", "domicile"])
            .stdout(Stdio::null())
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the program could not be built");
        // Tests lie in `target/debug/deps`, programs one folder above.
        let test = std::env::current_exe().expect("a test has a path");
        let folder = test.parent().and_then(|deps| deps.parent()).expect("tests lie in a folder of the target");
        folder.join(format!("domicile{}", std::env::consts::EXE_SUFFIX))
    };
    BINARY.get_or_init(build).clone()
}

/// A command of the program that sees no setting of the run, and ends with the test.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DOMICILE_")) {
        command.env_remove(name);
    }
    command.kill_on_drop(true);
    command
}

/// Runs the program in a folder to its end, with nobody at its terminal: exit code, result and talk.
pub async fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = command();
    command.current_dir(folder).args(arguments).envs(variables.iter().copied()).stdin(Stdio::null());
    let ran = command.output().await.expect("the program was built");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it says text");
    (ran.status.code().expect("it ends by itself"), text(ran.stdout), text(ran.stderr))
}

/// Asks a process to stop, as an operator does.
pub async fn ask_to_stop(process: &Child) {
    let id = process.id().expect("it runs").to_string();
    let asked = Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs");
    assert!(asked.success(), "{id} could not be asked to stop");
}
