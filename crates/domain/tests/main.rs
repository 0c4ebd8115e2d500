//! The domain against a store in memory: one file for each intent, one for what fails around it, and the golden table.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what cannot be fails the test")]

mod assign_user;
mod authority;
mod budgets;
mod change_identity;
mod check_access;
mod create_workspace;
mod dispatch;
mod escalation;
mod explain_access;
mod failures;
mod first_sight;
mod fresh_checks;
mod groups;
mod linking;
mod lookup_user;
mod match_handles;
mod own_policy;
mod permissions;
mod policies;
mod reach;
mod reads;
mod relationships;
mod rights_table;
mod roles;
mod set_grants;
mod states;
mod support;
mod turned_away;
mod values;

/// A file that is no module here would silently never be compiled.
#[test]
fn no_file_is_forgotten() {
    let listed = include_str!("main.rs");
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap();
    let names: Vec<String> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "main")
        .collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(listed.contains(&format!("mod {name};")), "{name} is no module");
    }
}
