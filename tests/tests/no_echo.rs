//! The program that people build does not serve the control of the benchmark. These tests are built with every feature, so
//! cargo is asked about a build with none.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::process::Command;

/// Runs cargo as a person would, and answers what it prints.
fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let of_this_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| of_this_package(name)) {
        cargo.env_remove(name);
    }
    let ran = cargo.args(arguments).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn nobody_who_builds_the_program_gets_the_echo_without_asking_for_it() {
    let tree = ["tree", "--locked", "--offline", "--format", "{p} [{f}]"];
    let alone = [&tree[..], &["--package", "domicile"]].concat();
    assert!(!cargo(&alone).contains("bench-echo"));
    // The benchmark itself, or any other package, must not turn it on in a build of everything.
    assert!(!cargo(&[&tree[..], &["--workspace"]].concat()).contains("bench-echo"));
    let asked = [&alone[..], &["--features", "bench-echo"]].concat();
    assert!(cargo(&asked).contains("bench-echo"));
}

#[test]
fn a_server_without_the_feature_does_not_know_the_method() {
    let told = cargo(&["test", "--locked", "--offline", "--workspace", "--test", "echo"]);
    assert!(told.contains("test a_build_without_the_feature_serves_no_echo ... ok"), "{told}");
}
