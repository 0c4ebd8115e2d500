//! Who may depend on whom: the hexagon's inside knows nothing of its outside, and adapters do not know each other.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot be fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Every crate's direct dependencies, as cargo sees them; dev-dependencies left out.
fn actual() -> Graph {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .filter(|package| package["name"] != "domicile-tests")
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let direct = dependencies.filter(|d| d["kind"] != "dev").map(|d| d["name"].as_str().unwrap().to_owned());
            (package["name"].as_str().unwrap().to_owned(), direct.collect())
        })
        .collect()
}

#[test]
fn every_crate_depends_on_what_the_list_says() {
    let lines = include_str!("../dependency-rules.txt").lines().filter(|line| !line.starts_with('#'));
    let listed: Graph = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, list)| (name.to_owned(), list.split_whitespace().map(ToOwned::to_owned).collect()))
        .collect();
    let actual = actual();
    for (name, dependencies) in &actual {
        let allowed =
            listed.get(name).unwrap_or_else(|| panic!("add a line for `{name}` to tests/dependency-rules.txt"));
        let more: Vec<_> = dependencies.difference(allowed).collect();
        let fewer: Vec<_> = allowed.difference(dependencies).collect();
        assert!(
            more.is_empty() && fewer.is_empty(),
            "`{name}` depends on {more:?} beyond tests/dependency-rules.txt, and no longer on {fewer:?}; change the line if \
             the architecture allows it"
        );
    }
    assert_eq!(listed.len(), actual.len(), "tests/dependency-rules.txt names a crate that is gone");
}

#[test]
fn the_domain_knows_no_runtime_database_or_wire_and_adapters_not_each_other() {
    let graph = actual();
    for outside in ["tokio", "sea-orm", "tonic", "prost"] {
        assert!(!graph["domicile-domain"].contains(outside), "{outside}");
    }
    for adapter in [
        "domicile-cache",
        "domicile-store-seaorm",
        "domicile-grpc",
        "domicile-contact",
        "domicile-identity",
        "domicile-notify",
    ] {
        let ours: Vec<&String> = graph[adapter].iter().filter(|name| name.starts_with("domicile")).collect();
        let allowed: &[&str] =
            if adapter == "domicile-grpc" { &["domicile-domain", "domicile-proto"] } else { &["domicile-domain"] };
        assert_eq!(ours, allowed, "{adapter}");
    }
    assert_eq!(graph["domicile-testkit"].iter().filter(|name| name.starts_with("domicile")).count(), 1);
}
