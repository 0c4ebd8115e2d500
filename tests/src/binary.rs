//! The real program, built once for each run of tests and run as its users run it.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;

use tokio::process::Command;

static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// The path of the program, built as these tests were.
pub fn binary() -> PathBuf {
    let build = || {
        let built = std::process::Command::new(env!("CARGO"))
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
