//! The program as a newcomer meets it: one command to start, the six steps from a second shell, and what it says when
//! something is in the way.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "what cannot be fails the test")]
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use domicile_client::{Client, ClientError, Credentials, v1};
use domicile_store_seaorm::SeaOrmStore;
use domicile_tests::binary;
use domicile_tests::dev::{Dev, keys, run};
use serde_json::{Value, json};
use tempfile::TempDir;

const MBALI: [&str; 7] = ["assign", "m.okafor@borealis.example", "--workspace", "acme", "--role", "guest", "--yes"];
const ANNA: [&str; 15] = [
    "assign",
    "anna@acme.example",
    "--workspace",
    "acme",
    "--role",
    "member",
    "--first-name",
    "Anna",
    "--last-name",
    "Kovacs",
    "--username",
    "anna.kovacs",
    "--language",
    "en",
    "--yes",
];

#[tokio::test]
async fn the_six_steps_link_one_person_and_create_another_who_are_told_in_their_languages() {
    let dev = Dev::new().await;
    for words in
        ["DEVELOPMENT MODE", "captured, not sent", "acme and borealis", "Dana Reyes", "assign anna@acme.example"]
    {
        assert!(dev.banner.contains(words), "{words}: {}", dev.banner);
    }

    let found = dev.run(&["user", "lookup", "m.okafor@borealis.example", "--workspace", "acme"]).await;
    assert_eq!(found.done().out, "FOUND  M. O.\n");
    assert!(found.err.contains("Next ") && found.err.contains(" assign m.okafor@borealis.example"), "{}", found.err);
    let linked = dev.run(&MBALI).await;
    assert!(linked.done().out.starts_with("Saved   LINKED_EXTERNAL   membership workspaces/"), "{}", linked.out);
    assert!(linked.out.contains(" QUEUED"), "{}", linked.out);
    for line in [
        "Found   an existing account (M. O.)\n",
        "Joins   Acme as External; no new account is created\n",
        "Roles   guest\n",
        "Tells   by the workspace they belong to, in their language\n",
        " notifications show ",
    ] {
        assert!(linked.err.contains(line), "{line}: {}", linked.err);
    }
    let created = dev.run(&[&ANNA[..], &["--json"]].concat()).await;
    assert_eq!(created.done().err, "", "JSON goes without talk");
    let created = created.json();
    assert_eq!(created["outcome"], "CREATED_INTERNAL");

    let listed = dev.json(&["notifications", "list", "--workspace", "acme"]).await;
    let ids: Vec<&str> =
        listed["notifications"].as_array().unwrap().iter().map(|n| n["id"].as_str().unwrap()).collect();
    assert_eq!(ids.first().copied(), created["notification"].as_str(), "the newest is first");

    let english = dev.captured(ids[0], "acme", "dana").await;
    assert_eq!((&english["kind"], &english["language_used"]), (&json!("ONBOARDING"), &json!("en")));
    assert_eq!((&english["message"]["from"], &english["message"]["to"]), (&json!("Acme"), &json!("anna@acme.example")));
    assert_eq!(english["message"]["subject"], "Your account at Acme");
    let german = dev.captured(ids[1], "borealis", "lena").await;
    assert_eq!((&german["kind"], &german["language_used"]), (&json!("ACCESS_GRANTED"), &json!("de")));
    assert_eq!(german["message"]["from"], "Borealis");
    let text = german["message"]["text"].as_str().unwrap();
    for words in ["Guten Tag Mbali", "Dana Reyes", "Zugang zu Acme", "gehören weiterhin zu Borealis"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let host = dev.run(&["notifications", "show", ids[1], "--workspace", "acme"]).await;
    assert!(host.done().out.contains("State     NOT_SENT (CAPTURED)"), "{}", host.out);
    assert!(host.out.contains("seen by the person's home alone") && !host.out.contains("Guten Tag"), "{}", host.out);

    for (id, begins, words) in [(ids[0], "From: Acme\n", "Hello Anna"), (ids[1], "From: Borealis\n", "Guten Tag Mbali")]
    {
        let file = dev.data().join("messages").join(format!("{id}.txt"));
        let content = std::fs::read_to_string(&file).unwrap();
        assert!(content.starts_with(begins) && content.contains(words), "{content}");
    }
}

#[tokio::test]
async fn what_is_secret_or_personal_is_readable_by_its_owner_alone() {
    let dev = Dev::new().await;
    let created = dev.json(&ANNA).await;
    let id = created["notification"].as_str().unwrap();
    dev.captured(id, "acme", "dana").await;
    for file in ["credentials.json", "sealing.key", &format!("messages/{id}.txt")] {
        let mode = std::fs::metadata(dev.data().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_check_answers_and_ends_well_whatever_the_answer() {
    let dev = Dev::new().await;
    let check =
        |person: &'static str, permission: &'static str| ["access", "check", person, permission, "--workspace", "acme"];
    let allowed = dev.run(&check("sam", "projects.read")).await;
    assert_eq!(allowed.done().out, "ALLOWED\n");
    let denied = dev.run(&check("jonas", "projects.read")).await;
    assert_eq!(denied.done().out, "DENIED  NO_MEMBERSHIP\n");
    let sam = dev.credentials()["people"]["sam"]["user"].as_str().unwrap().to_owned();
    let by_id = dev.json(&["access", "check", &sam, "domicile.update", "--workspace", "acme"]).await;
    assert_eq!(by_id, json!({ "decision": "DENIED", "reason": "NOT_GRANTED" }));
    dev.run(&check("sam", "no.such")).await.refused(6, &["UNKNOWN_PERMISSION"]);
}

#[tokio::test]
async fn a_manager_says_who_a_person_is_at_an_issuer_and_takes_it_back() {
    let dev = Dev::new().await;
    let who = ["--workspace", "acme", "--issuer", "https://login.example", "--subject", "s-1"];
    let mut bind = [&["user", "bind-identity", "sam"][..], &who].concat();
    let unbind = [&["user", "unbind-identity", "sam"][..], &who].concat();
    let show = ["user", "show", "sam", "--workspace", "acme"];
    let rehearsed = dev.run(&[&bind[..], &["--dry-run"]].concat()).await;
    assert_eq!(rehearsed.done().out, "Would   succeed; nothing was changed\n");
    dev.run(&bind).await.refused(2, &["Binds   s-1 at https://login.example to sam", "--yes"]);
    bind.push("--yes");
    let bound = dev.run(&bind).await;
    assert_eq!(bound.done().out, "Bound   s-1 at https://login.example   sam\n");
    assert!(bound.err.contains("Next ") && bound.err.contains(&show.join(" ")), "{}", bound.err);
    let shown = dev.run(&show).await;
    assert!(shown.done().out.contains("Identity  s-1 at https://login.example\n"), "{}", shown.out);
    let identity = json!({ "issuer": "https://login.example", "subject": "s-1" });
    assert_eq!(dev.json(&show).await["identities"], json!([identity]));

    let mut other = bind.clone();
    other[2] = "dana";
    dev.run(&bind).await.refused(4, &["IDENTITY_TAKEN"]);
    other[8] = "d-1";
    dev.run(&other).await.refused(5, &["ANOTHER_PERSON_REQUIRED"]);
    dev.run(&MBALI).await.done();
    (other[2], other[8]) = ("mbali", "m-1");
    dev.run(&other).await.refused(4, &["HOME_OWNED_FIELD"]);
    let host = dev.json(&["user", "show", "mbali", "--workspace", "acme"]).await;
    assert_eq!((&host["initials"], &host["identities"]), (&json!("M. O."), &Value::Null));
    (other[2], other[6]) = ("sam", "http://login.example");
    dev.run(&other).await.refused(6, &["--issuer: ", "https://login.example"]);

    dev.run(&unbind).await.refused(2, &["Takes   s-1 at https://login.example from sam", "--yes"]);
    let unbind = [&unbind[..], &["--yes"]].concat();
    let taken = dev.json(&unbind).await;
    assert_eq!(keys(&taken), ["consistency_token", "identities", "user", "validate_only"]);
    assert_eq!(taken["identities"], json!([]));
    dev.run(&unbind).await.refused(3, &["NOT_FOUND"]);
}

#[tokio::test]
async fn programs_meet_the_doors_of_an_installation_by_tokens_that_the_example_signs() {
    let dev = Dev::new().await;
    let endpoint = dev.credentials()["endpoint"].as_str().unwrap().to_owned();
    let signed = async |arguments: &[&str]| -> String {
        let told = dev.run(&[&["dev", "token"], arguments].concat()).await;
        assert!(told.err.contains(&endpoint) && !told.err.contains(told.done().out.trim()), "{}", told.err);
        told.out.trim().to_owned()
    };
    let client = async |token: &str| {
        let credentials = Credentials { token: token.to_owned(), acting_user: None };
        Client::connect(&endpoint, &credentials).await.unwrap()
    };
    let search = || v1::LookupUserRequest {
        workspace: "acme".into(),
        email: "s.whitfield@acme.example".into(),
        ..v1::LookupUserRequest::default()
    };
    let check = || v1::GetWorkspaceRequest { workspace: "acme".into(), consistency: None };
    for (arguments, searches, sees) in [
        (&["--as", "dana"][..], "", ""),
        (&["--as", "dana", "--service", "projects"], "", ""),
        (&["--as", "lena"], "PERMISSION_DENIED", "PERMISSION_DENIED"),
        (&[], "ACTING_USER_REQUIRED", "ACTING_USER_REQUIRED"),
        (&["--service", "operator"], "ACTING_USER_REQUIRED", ""),
    ] {
        let client = client(&signed(arguments).await).await;
        let reason = |answer: Result<(), ClientError>| answer.err().map(|error| error.reason).unwrap_or_default();
        assert_eq!(reason(client.lookup_user(search()).await.map(drop)), searches, "{arguments:?}");
        assert_eq!(reason(client.get_workspace(check()).await.map(drop)), sees, "{arguments:?}");
    }
    // Somebody else's key is as good as none.
    let (dana, other) = (signed(&["--as", "dana"]).await, signed(&["--as", "lena"]).await);
    let forged = format!("{}.{}", dana.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
    let refused = client(&forged).await.get_workspace(check()).await.unwrap_err();
    assert_eq!(refused.reason, "UNAUTHENTICATED", "{refused}");

    // Whoever is made here is known at first sight by the address that the issuer has verified.
    let anna = dev.json(&ANNA).await["user"].as_str().unwrap().to_owned();
    let token = signed(&["--as", "anna", "--email", "anna@acme.example"]).await;
    let own = v1::GetUserRequest { workspace: "acme".into(), user: anna.clone(), consistency: None };
    client(&token).await.get_user(own).await.unwrap();
    let shown = dev.json(&["user", "show", &anna, "--workspace", "acme"]).await;
    assert_eq!(shown["identities"][0]["subject"], "anna");
    let told = dev.json(&["dev", "token", "--service", "projects", "--minutes", "5"]).await;
    assert_eq!(keys(&told), ["endpoint", "expires_in", "token"]);
    assert_eq!(told["expires_in"], 300);

    dev.run(&["dev", "token", "--as", "nobody"]).await.refused(2, &["`nobody`", "dana, jonas", "--email"]);
    let two = ["dev", "token", "--as", "sam", "--email", "anna@acme.example"];
    dev.run(&two).await.refused(2, &["s.whitfield@acme.example", "--email"]);
    dev.run(&["dev", "token", "--service", "nobody"]).await.refused(2, &["development, projects, operator"]);
    dev.run(&["dev", "token", "--minutes", "1441"]).await.refused(2, &["1..=1440"]);
}

#[tokio::test]
async fn results_in_json_have_the_documented_keys() {
    let dev = Dev::new().await;
    let found = dev.json(&["user", "lookup", "nobody@acme.example", "--workspace", "acme"]).await;
    assert_eq!(keys(&found), ["display", "match_handle", "member_kind", "member_state", "outcome"]);
    let saved = dev.json(&MBALI).await;
    let of_saves = [
        "consistency_token",
        "discarded_fields",
        "membership",
        "notification",
        "notification_state",
        "outcome",
        "user",
        "validate_only",
    ];
    assert_eq!(keys(&saved), of_saves);
    let listed = dev.json(&["notifications", "list", "--workspace", "acme", "--limit", "1"]).await;
    assert_eq!((keys(&listed), &listed["more"]), (vec!["more", "notifications"], &json!(true)));
    let of_messages = [
        "attempt_count",
        "attempts",
        "channel",
        "created_at",
        "due_at",
        "home",
        "id",
        "kind",
        "language_asked",
        "language_used",
        "message",
        "not_sent_reason",
        "reason",
        "retry_until",
        "state",
        "user",
        "workspace",
    ];
    assert_eq!(keys(&listed["notifications"][0]), of_messages);
    let shown = dev.captured(saved["notification"].as_str().unwrap(), "borealis", "lena").await;
    assert_eq!(keys(&shown), of_messages);
    assert_eq!(keys(&shown["message"]), ["from", "html", "subject", "text", "to"]);
    assert_eq!(keys(&shown["attempts"][0]), ["class", "ended_at", "number", "provider_words"]);
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/COMMANDS.md")).unwrap();
    let person = dev.json(&["user", "show", "sam", "--workspace", "acme"]).await;
    let all = [
        keys(&person),
        keys(&found),
        of_saves.to_vec(),
        of_messages.to_vec(),
        keys(&listed),
        vec!["decision", "reason"],
    ];
    for key in all.concat() {
        assert!(page.contains(&format!("`{key}`")), "docs/COMMANDS.md does not tell of `{key}`");
    }
}

/// One side proposes as one person, the other approves as another; the next check feels every move.
#[tokio::test]
async fn two_workspaces_agree_suspend_and_part() {
    let dev = Dev::new().await;
    let access = async || {
        dev.json(&["access", "check", "mbali", "projects.read", "--workspace", "acme"]).await["decision"].clone()
    };
    let (allowed, denied) = (json!("ALLOWED"), json!("DENIED"));
    let listed = dev.json(&["relationship", "list", "--workspace", "acme", "--state", "active"]).await;
    let first = listed["relationships"][0]["id"].as_str().unwrap().to_owned();
    dev.run(&["assign", "m.okafor@borealis.example", "--workspace", "acme", "--role", "project-guest", "--yes"])
        .await
        .done();
    assert_eq!(access().await, allowed);

    let of_lena = |step: &'static str, id: String| {
        ["relationship", step, id.as_str(), "--workspace", "borealis", "--as", "lena"].map(str::to_owned)
    };
    let run = async |words: &[String], more: &[&str]| {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
        dev.run(&words).await
    };
    // Nothing is taken away unasked; the rehearsal names whom it concerns.
    let asked = run(&of_lena("suspend", first.clone()), &[]).await;
    asked.refused(2, &["--yes", "1 of them", "-projects.read"]);
    assert_eq!(access().await, allowed);
    run(&of_lena("suspend", first.clone()), &["--yes"]).await.done();
    assert_eq!(access().await, denied);
    let own = ["relationship", "resume", &first, "--workspace", "acme", "--yes"];
    assert!(dev.run(&own).await.done().out.contains("suspended by home"), "the host cannot take back the home's");
    assert_eq!(access().await, denied);
    run(&of_lena("resume", first.clone()), &["--yes"]).await.done();
    assert_eq!(access().await, allowed);
    let ended = run(&of_lena("end", first.clone()), &["--yes", "--json"]).await.done().json();
    assert_eq!((&ended["relationship"]["state"], &ended["effect"]["affected"]), (&json!("ENDED"), &json!(1)));
    assert_eq!(access().await, denied);

    let propose = ["relationship", "propose", "borealis", "--workspace", "acme", "--role", "project-guest"];
    dev.run(&propose).await.refused(2, &["State         PROPOSED", "Host: roles   project-guest", "--yes"]);
    let would = dev.run(&[&propose[..], &["--dry-run"]].concat()).await;
    assert!(would.done().out.starts_with("Would   be PROPOSED"), "{}", would.out);
    let proposed = dev.json(&[&propose[..], &["--yes"]].concat()).await;
    let second = proposed["relationship"]["id"].as_str().unwrap().to_owned();
    let by_dana = ["relationship", "approve", &second, "--workspace", "acme", "--yes"];
    dev.run(&by_dana).await.refused(5, &["ANOTHER_PERSON_REQUIRED"]);
    // Lena says it herself: named by the service alone she is not heard.
    let lena = dev.credentials()["people"]["lena"]["user"].as_str().unwrap().to_owned();
    let named = ["relationship", "approve", &second, "--workspace", "borealis", "--yes", "--as", &lena];
    dev.run(&named).await.refused(5, &["OWN_TOKEN_REQUIRED"]);
    assert_eq!(access().await, denied);
    let terms = ["--disclosure", "name", "--yes", "--json"];
    let approved = run(&of_lena("approve", second.clone()), &terms).await.done().json();
    assert_eq!(access().await, allowed);
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/COMMANDS.md")).unwrap();
    let relationship = &approved["relationship"];
    assert_eq!(relationship["home_terms"]["disclosure"], "NAME");
    let all = [
        keys(&approved),
        keys(&approved["effect"]),
        keys(&approved["effect"]["members"][0]),
        keys(relationship),
        keys(&relationship["host"]),
        keys(&relationship["host_terms"]),
        keys(&relationship["home_terms"]),
    ];
    for key in all.concat() {
        assert!(page.contains(&format!("`{key}`")), "docs/COMMANDS.md does not tell of `{key}`");
    }
    let update = ["relationship", "update", &second, "--workspace", "acme", "--yes"];
    dev.run(&update).await.refused(6, &["the terms to change"]);
    dev.run(&[&update[..], &["--disclosure", "full"]].concat()).await.refused(4, &["OTHER_SIDES_FIELD"]);
    dev.run(&[&update[..], &["--no-roles"]].concat()).await.done();
    assert_eq!(access().await, denied);
    dev.run(&["relationship", "propose", "nowhere", "--workspace", "acme", "--yes"]).await.refused(3, &["NOT_FOUND"]);
}

#[tokio::test]
async fn the_exit_code_tells_what_kind_of_no_it_was() {
    let dev = Dev::new().await;
    let lookup = |person: &'static str| ["user", "lookup", person, "--workspace", "acme"];
    // 2: usage.
    dev.run(&["assign"]).await.refused(2, &["Usage:"]);
    dev.run(&MBALI[..6]).await.refused(2, &["--yes"]);
    dev.run(&[&lookup("+36201234567")[..], &["--phone", "+361"]].concat()).await.refused(2, &["--phone"]);
    let known = "give dana, jonas, lena, mbali, sam, or a user id";
    dev.run(&[&lookup("a@b.example")[..], &["--as", "nobody"]].concat()).await.refused(2, &["`nobody`", known]);
    dev.run(&["access", "check", "nobody", "projects.read", "--workspace", "acme"]).await.refused(2, &[known]);
    // 3: not found.
    let nothing = "01900000-0000-7000-8000-000000000000";
    dev.run(&["notifications", "show", nothing, "--workspace", "acme"]).await.refused(3, &["NOT_FOUND"]);
    // 4: conflict.
    dev.run(&MBALI).await.done();
    dev.run(&MBALI).await.refused(4, &["ALREADY_MEMBER", "a member already"]);
    dev.run(&[&MBALI[..], &["--expect", "create"]].concat()).await.refused(4, &["ALREADY_MEMBER"]);
    let mut other = MBALI;
    other[1] = "j.keller@borealis.example";
    dev.run(&[&other[..], &["--expect", "create"]].concat()).await.refused(4, &["EXPECTATION_FAILED", "--expect"]);
    dev.run(&[&ANNA[..], &["--expect", "link"]].concat()).await.refused(3, &["NO_ACCOUNT", "--expect"]);
    // 5: not allowed.
    dev.run(&["notifications", "list", "--workspace", "acme", "--as", "sam"]).await.refused(5, &["PERMISSION_DENIED"]);
    dev.run(&[&lookup("a@b.example")[..], &["--as", nothing]].concat()).await.refused(5, &["PERMISSION_DENIED"]);
    // 6: invalid input.
    dev.run(&lookup("a@")).await.refused(6, &["INVALID_REQUEST", "the email address: "]);
    let missing = ["--first-name, --last-name, --username, --language"];
    dev.run(&["assign", "new@acme.example", "--workspace", "acme", "--yes", "--no-input"]).await.refused(6, &missing);
    let mut no_role = MBALI;
    (no_role[1], no_role[5]) = ("j.keller@borealis.example", "no-such");
    dev.run(&no_role).await.refused(6, &["--role: `no-such`", "guest"]);
    // 7: unavailable. What was there is stopped.
    let (folder, ended) = dev.stopped().await;
    assert_eq!(ended.code(), Some(0), "SIGTERM ends it well");
    run(folder.path(), &lookup("a@b.example")).await.refused(7, &["nothing answers at http://127.0.0.1:"]);
}

#[tokio::test]
async fn quiet_leaves_the_result_and_a_rehearsal_saves_nothing() {
    let dev = Dev::new().await;
    let rehearsed = dev.run(&[&MBALI[..], &["--dry-run", "--quiet"]].concat()).await;
    assert_eq!(
        (rehearsed.done().out.as_str(), rehearsed.err.as_str()),
        ("Would   LINKED_EXTERNAL; nothing was saved\n", "")
    );
    let saved = dev.run(&[&MBALI[..], &["-q"]].concat()).await;
    assert_eq!((saved.done().out.lines().count(), saved.err.as_str()), (1, ""));
}

#[tokio::test]
async fn a_save_is_repeated_by_its_request_id_and_told_alike() {
    let dev = Dev::new().await;
    for (save, id) in
        [(&MBALI[..], "0199a000-0000-7000-8000-00000000000a"), (&ANNA, "0199a000-0000-7000-8000-00000000000b")]
    {
        let save = [save, &["--request-id", id]].concat();
        let (first, second) = (dev.json(&save).await, dev.json(&save).await);
        // The token is sealed anew, and no two seals are alike.
        for key in keys(&first).iter().filter(|key| **key != "consistency_token") {
            assert_eq!(first[key], second[key], "{key}");
        }
        let changed = [&save[..], &["--permission", "projects.read"]].concat();
        dev.run(&changed).await.refused(4, &["REQUEST_ID_REUSED"]);
    }
}

#[tokio::test]
async fn a_second_start_keeps_people_and_token_and_adds_nothing() {
    let dev = Dev::new().await;
    dev.run(&MBALI).await.done();
    dev.captured(newest(&dev).await.as_str(), "borealis", "lena").await;
    let before = dev.credentials();
    let (folder, ended) = dev.stopped().await;
    assert_eq!(ended.code(), Some(0));
    // The example is asked for again, and that counts as probes do.
    let without_counters = async |folder: &TempDir| {
        let mut dump = dump(folder.path()).await;
        dump.remove("budget_counters").unwrap();
        dump
    };
    let dumped = without_counters(&folder).await;

    let again = Dev::started(folder).await;
    let after = again.credentials();
    assert_eq!((&after["key"], &after["people"]), (&before["key"], &before["people"]));
    assert_eq!(after["people"].as_object().unwrap().len(), 5);
    let third = run(again.folder.path(), &["dev", "--listen", "127.0.0.1:0"]).await;
    third.refused(1, &["another `domicile dev` uses ./domicile-dev", "--data"]);
    // It serves: what it says is not only its banner.
    newest(&again).await;
    let (folder, _) = again.stopped().await;
    assert_eq!(without_counters(&folder).await, dumped);
}

async fn newest(dev: &Dev) -> String {
    let listed = dev.json(&["notifications", "list", "--workspace", "acme"]).await;
    listed["notifications"][0]["id"].as_str().unwrap().to_owned()
}

async fn dump(folder: &Path) -> std::collections::BTreeMap<String, Vec<String>> {
    let store = SeaOrmStore::open_file(&folder.join("domicile-dev/domicile.db")).await.unwrap();
    store.dump().await.unwrap()
}

#[tokio::test]
async fn what_cannot_start_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let refused = run(folder.path(), &["dev", "--listen", &taken]).await;
    refused.refused(1, &[&taken, "--listen"]);
    let refused = run(folder.path(), &["dev", "--listen", "0.0.0.0:1"]).await;
    refused.refused(1, &["loopback only", "--listen 127.0.0.1:1"]);
    let (exit, _, told) = binary::run(folder.path(), &["dev"], &[("DOMICILE_ENV", "Production")]).await;
    assert_eq!(exit, 1);
    assert!(told.contains("does not run where DOMICILE_ENV is production"), "{told}");
    assert!(!folder.path().join("domicile-dev/domicile.db").exists(), "nothing was begun");
}

#[tokio::test]
async fn credentials_that_are_missing_or_broken_are_told_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let lookup = ["user", "lookup", "a@b.example", "--workspace", "acme"];
    let missing = run(folder.path(), &lookup).await;
    missing.refused(2, &["no credentials at ./domicile-dev/credentials.json", "start `domicile dev`", "--credentials"]);
    assert_eq!(missing.err.lines().count(), 1, "{}", missing.err);

    let data = folder.path().join("domicile-dev");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("credentials.json"), "{").unwrap();
    let broken = run(folder.path(), &lookup).await;
    broken.refused(2, &["./domicile-dev/credentials.json", "delete the file and start `domicile dev` again"]);
    assert_eq!(broken.err.lines().count(), 1, "{}", broken.err);
    let start = run(folder.path(), &["dev", "--listen", "127.0.0.1:0"]).await;
    start.refused(1, &["delete the file"]);
    // What it says to do, does.
    std::fs::remove_file(data.join("credentials.json")).unwrap();
    let dev = Dev::started(folder).await;
    dev.run(&lookup).await.done();
}

#[tokio::test]
async fn next_commands_name_credentials_that_lie_elsewhere() {
    let dev = Dev::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let path = dev.data().join("credentials.json");
    let flag = ["--credentials", path.to_str().unwrap()];
    let lookup = [&["user", "lookup", "a@b.example", "--workspace", "acme"][..], &flag].concat();
    let found = run(elsewhere.path(), &lookup).await;
    assert_eq!(found.done().out, "NOT_FOUND\n");
    assert!(found.err.contains(&flag.join(" ")), "{}", found.err);
}

/// A denial leads to its explanation, that to what would help, and a table shows the whole workspace.
#[tokio::test]
async fn a_denial_is_explained_and_a_table_shows_who_may_do_what() {
    let dev = Dev::new().await;
    let linked = dev.json(&MBALI).await;
    let mbali = linked["user"].as_str().unwrap();
    let about = |what: &'static str| ["access", what, mbali, "projects.read", "--workspace", "acme"];

    let denied = dev.run(&about("check")).await;
    assert_eq!(denied.done().out, "DENIED  NOT_GRANTED\n");
    assert!(denied.err.contains(&format!(" access explain {mbali} projects.read --workspace acme")), "{}", denied.err);

    let told = dev.run(&about("explain")).await;
    let lines: Vec<&str> = told.done().out.lines().collect();
    assert_eq!(lines[0], "DENIED  NOT_GRANTED");
    let decides: Vec<&&str> = lines.iter().filter(|line| line.starts_with('>')).collect();
    assert_eq!(decides, [&"> shut  grant"], "{}", told.out);
    assert!(lines.contains(&"  open  account     withheld: the home's affair"), "{}", told.out);
    // Of the roles that have it the one that Externals of that home may have.
    assert!(told.out.contains("Helps   ") && lines.contains(&"Roles   project-guest"), "{}", told.out);
    let told = dev.json(&about("explain")).await;
    assert_eq!(
        keys(&told),
        ["decision", "failing_gate", "gates", "partial", "reason", "remedies"],
        "the keys that docs/COMMANDS.md names"
    );
    assert_eq!((&told["failing_gate"], &told["partial"]), (&json!("GRANT"), &json!(true)));
    assert_eq!(
        (&told["remedies"][0]["action"], &told["remedies"][0]["may_apply"]),
        (&json!("GRANT_ROLE"), &json!(true))
    );

    let listed = dev.run(&["access", "list", "sam", "--workspace", "acme"]).await;
    assert!(
        listed.done().out.contains("projects.read   ALLOWED                 role project-lead\n"),
        "{}",
        listed.out
    );
    let nothing = dev.run(&["access", "list", mbali, "--workspace", "acme"]).await;
    assert_eq!(nothing.done().out, "nothing is granted\n");

    let who = dev.json(&["access", "who", "projects.read", "--workspace", "acme"]).await;
    let sam = dev.credentials()["people"]["sam"]["user"].clone();
    assert_eq!((&who["subjects"][0]["user"], who["subjects"].as_array().unwrap().len()), (&sam, 1));

    let matrix = ["access", "matrix", "--workspace", "acme"];
    let table = dev.run(&matrix).await;
    let lines: Vec<&str> = table.done().out.lines().collect();
    assert!(lines[0].trim_start().starts_with("domicile.create  domicile.update  projects.read"), "{}", table.out);
    assert_eq!(lines.len(), 4, "Dana, Sam and the one who was linked: {}", table.out);
    let value = dev.json(&matrix).await;
    let people = value["people"].as_array().unwrap();
    let of_sam = people.iter().find(|person| person["user"] == sam).unwrap();
    assert_eq!(of_sam["may"], json!(["projects.read", "projects.write"]));

    // Who manages nothing sees no table, and their own permissions alone.
    dev.run(&[&matrix[..], &["--as", "sam"]].concat()).await.refused(5, &["PERMISSION_DENIED"]);
    dev.run(&["access", "explain", "sam", "projects.none", "--workspace", "acme"])
        .await
        .refused(6, &["UNKNOWN_PERMISSION"]);
}
