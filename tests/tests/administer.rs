//! An administrator says who may do what: roles, what members have, the catalogue. Each change is felt by the next check, on
//! the real program.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "what cannot be fails the test")]
#![cfg(unix)]

use std::path::Path;

use domicile_tests::dev::{Dev, keys};
use serde_json::{Value, json};

/// A command in the workspace of the example.
fn in_acme<'w>(words: &[&'w str]) -> Vec<&'w str> {
    [words, &["--workspace", "acme"]].concat()
}

async fn decision(dev: &Dev, person: &str, permission: &str) -> Value {
    dev.json(&in_acme(&["access", "check", person, permission])).await["decision"].clone()
}

/// Every key of a result stands in the page about the command line.
fn documented(values: &[&Value]) {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/COMMANDS.md")).unwrap();
    for key in values.iter().flat_map(|value| keys(value)) {
        assert!(page.contains(&format!("`{key}`")), "docs/COMMANDS.md does not tell of `{key}`");
    }
}

#[tokio::test]
async fn a_role_is_made_given_changed_and_taken_away_and_the_next_check_feels_it() {
    let dev = Dev::new().await;
    let sam = async || decision(&dev, "sam", "projects.write").await;
    dev.run(&in_acme(&["member", "set-roles", "sam", "--role", "member", "--yes"])).await.done();
    assert_eq!(sam().await, "DENIED");

    let create = in_acme(&["role", "create", "writer", "--name", "Writer", "--permission", "projects.write"]);
    dev.run(&create).await.refused(2, &["Grants  projects.write", "--yes"]);
    let rehearsed = dev.run(&[&create[..], &["--dry-run"]].concat()).await;
    assert_eq!(rehearsed.done().out, "Would   succeed; nothing was saved\n");
    assert!(!rehearsed.err.contains("Next"), "nothing was made: {}", rehearsed.err);
    dev.run(&in_acme(&["role", "show", "writer"])).await.refused(3, &["NOT_FOUND"]);
    let made = dev.run(&[&create[..], &["--yes"]].concat()).await;
    assert_eq!(made.done().out, "Made    writer\n");
    assert!(made.err.contains(" member set-roles PERSON --add writer --workspace acme"), "{}", made.err);
    dev.run(&[&create[..], &["--yes"]].concat()).await.refused(4, &["HANDLE_TAKEN"]);
    let wrong = in_acme(&["role", "create", "other", "--permission", "projects.wirte", "--yes"]);
    dev.run(&wrong).await.refused(6, &["--permission: ", "`projects.wirte`"]);

    let given = dev.run(&in_acme(&["member", "set-roles", "sam", "--add", "writer", "--yes"])).await;
    assert_eq!(given.done().out, "Changed sam   roles member, writer   permissions none\n");
    assert!(given.err.contains("Member  Sam Whitfield\nGives   writer\n"), "{}", given.err);
    assert_eq!(sam().await, "ALLOWED");
    let shown = dev.run(&in_acme(&["member", "show", "sam"])).await;
    assert!(shown.done().out.contains("Roles        member, writer\n"), "{}", shown.out);
    let by_address = dev.json(&in_acme(&["member", "show", "S.Whitfield@acme.example"])).await;
    assert_eq!(by_address["user"], dev.credentials()["people"]["sam"]["user"]);
    dev.run(&in_acme(&["member", "show", "nobody@acme.example"])).await.refused(3, &["nobody@acme.example", "assign"]);
    let listed = dev.run(&in_acme(&["member", "list"])).await;
    assert!(listed.done().out.contains("Sam Whitfield  member, writer\n"), "{}", listed.out);

    // Who has it loses what it does not grant any more, and that is said before.
    let update = in_acme(&["role", "update", "writer", "--remove-permission", "projects.write"]);
    dev.run(&update).await.refused(2, &["Takes   projects.write", "Reaches 1 Internal, 0 Externals", "--yes"]);
    assert_eq!(sam().await, "ALLOWED");
    dev.run(&[&update[..], &["--yes"]].concat()).await.done();
    assert_eq!(sam().await, "DENIED");
    dev.run(&[&update[..], &["--yes"]].concat()).await.refused(4, &["`projects.write` is not there to take away"]);
    dev.run(&in_acme(&["role", "update", "writer", "--add-permission", "projects.write", "--yes"])).await.done();
    assert_eq!(sam().await, "ALLOWED");

    let take = in_acme(&["member", "set-roles", "sam", "--remove", "writer"]);
    dev.run(&take).await.refused(2, &["Takes   writer", "--yes"]);
    dev.run(&[&take[..], &["--yes"]].concat()).await.done();
    assert_eq!(sam().await, "DENIED");
    let direct = ["member", "set-permissions", "sam", "--add-permission", "projects.write", "--yes"];
    dev.run(&in_acme(&direct)).await.done();
    assert_eq!(sam().await, "ALLOWED");
    dev.run(&in_acme(&["member", "set-permissions", "sam", "--no-permissions", "--yes"])).await.done();
    assert_eq!(sam().await, "DENIED");
    dev.run(&in_acme(&["member", "set-permissions", "sam", "--yes"])).await.refused(2, &["--add-permission"]);
    dev.run(&in_acme(&["role", "update", "guest", "--name", "x", "--yes"])).await.refused(4, &["BUILT_IN_ROLE"]);
}

#[tokio::test]
async fn a_manager_who_raises_themself_is_refused_and_told_whom_to_ask() {
    let dev = Dev::new().await;
    dev.run(&in_acme(&["member", "set-roles", "sam", "--add", "access-manager", "--yes"])).await.done();
    let by_herself = in_acme(&["member", "set-roles", "dana", "--add", "project-lead", "--yes"]);
    let told = ["SELF_ESCALATION", "projects.read, projects.write", "Nothing was changed; ask another AccessManager"];
    dev.run(&by_herself).await.refused(5, &told);
    assert_eq!(decision(&dev, "dana", "projects.read").await, "DENIED");
    let directly = ["member", "set-permissions", "dana", "--permission", "projects.read", "--yes"];
    dev.run(&in_acme(&directly)).await.refused(5, &["SELF_ESCALATION"]);
    // The other one may, and the explanation says how.
    let why = dev.run(&in_acme(&["access", "explain", "dana", "projects.read", "--as", "sam"])).await;
    let how = " member set-roles dana --add project-guest --workspace acme --as sam\n";
    assert!(why.done().err.contains(how), "{}", why.err);
    dev.run(&in_acme(&["member", "set-roles", "dana", "--add", "project-guest", "--yes", "--as", "sam"])).await.done();
    assert_eq!(decision(&dev, "dana", "projects.read").await, "ALLOWED");
    // Who manages nothing changes nothing, and sees themself alone.
    for command in [&["member", "list"][..], &["role", "create", "own", "--yes"], &["role", "delete", "guest", "--yes"]]
    {
        dev.run(&in_acme(&[command, &["--as", "lena"]].concat())).await.refused(5, &["PERMISSION_DENIED"]);
    }
}

#[tokio::test]
async fn a_role_in_use_is_deleted_by_force_alone_with_the_counts_told() {
    let dev = Dev::new().await;
    dev.run(&in_acme(&["group", "create", "crew", "--role", "project-lead", "--yes"])).await.done();
    let delete = in_acme(&["role", "delete", "project-lead", "--yes"]);
    let told = ["ROLE_IN_USE", "memberships: 1, groups: 1, ceilings: 0", " role delete --force project-lead"];
    dev.run(&delete).await.refused(4, &told);
    assert_eq!(decision(&dev, "sam", "projects.write").await, "ALLOWED");
    let forced = in_acme(&["role", "delete", "project-lead", "--force"]);
    let told = ["Deletes Project lead (project-lead)", "Takes   it from 1 membership, 1 group, 0 ceilings", "--yes"];
    dev.run(&forced).await.refused(2, &told);
    let rehearsed = dev.run(&[&forced[..], &["--dry-run"]].concat()).await;
    let would = "Would   be taken from 1 membership, 1 group, 0 ceilings; nothing was changed\n";
    assert_eq!(rehearsed.done().out, would);
    let deleted = dev.run(&[&forced[..], &["--yes"]].concat()).await;
    assert_eq!(deleted.done().out, "Deleted project-lead   taken from 1 membership, 1 group, 0 ceilings\n");
    assert_eq!(decision(&dev, "sam", "projects.write").await, "DENIED");
    let group = dev.run(&in_acme(&["group", "show", "crew"])).await;
    assert!(group.done().out.contains("Roles     none\n"), "{}", group.out);

    dev.run(&in_acme(&["group", "update", "crew", "--role", "member", "--yes"])).await.done();
    let update = in_acme(&["group", "update", "crew", "--role", "guest"]);
    dev.run(&update).await.refused(2, &["Carries member -> guest, for 0 people", "take it away"]);
    dev.run(&in_acme(&["group", "add-members", "crew", "sam", "--yes"])).await.done();
    let told = ["GROUP_NOT_EMPTY", " group delete --force crew"];
    dev.run(&in_acme(&["group", "delete", "crew", "--yes"])).await.refused(4, &told);
}

/// What a table of access tells of Sam.
fn of_sam(matrix: &Value) -> &Value {
    let people = matrix["people"].as_array().unwrap();
    people.iter().find(|person| person["label"].as_str().unwrap().starts_with("Sam ")).unwrap()
}

#[tokio::test]
async fn a_permission_is_registered_put_into_a_role_and_retired() {
    let dev = Dev::new().await;
    let register = ["permission", "register", "projects.archive=Archive projects", "--service", "projects", "--yes"];
    let check = in_acme(&["access", "check", "sam", "projects.archive"]);
    dev.run(&check).await.refused(6, &["UNKNOWN_PERMISSION"]);
    let registered = dev.run(&register).await;
    assert_eq!(registered.done().out, "projects.archive  projects  Archive projects\n");
    let put = " role update ROLE --add-permission projects.archive --workspace WORKSPACE";
    assert!(registered.err.contains(put), "{}", registered.err);
    let update = ["role", "update", "project-lead", "--add-permission", "projects.archive", "--yes"];
    dev.run(&in_acme(&update)).await.done();
    assert_eq!(decision(&dev, "sam", "projects.archive").await, "ALLOWED");
    // By a group it is the same, in the table too.
    dev.run(&in_acme(&["group", "create", "crew", "--role", "project-lead", "--yes"])).await.done();
    dev.run(&in_acme(&["group", "add-members", "crew", "sam", "--yes"])).await.done();
    dev.run(&in_acme(&["member", "set-roles", "sam", "--no-roles", "--yes"])).await.done();
    let matrix = in_acme(&["access", "matrix", "--permission", "projects.archive"]);
    assert_eq!(of_sam(&dev.json(&matrix).await)["may"], json!(["projects.archive"]));

    let retire = ["permission", "retire", "projects.archive", "--service", "projects"];
    let takes = "Takes   it from 1 role and 0 memberships until it is registered again";
    dev.run(&retire).await.refused(2, &[takes, "--yes"]);
    assert_eq!(decision(&dev, "sam", "projects.archive").await, "ALLOWED");
    let retired = dev.run(&[&retire[..], &["--yes"]].concat()).await;
    assert_eq!(retired.done().out, "Retired projects.archive   taken from 1 role and 0 memberships\n");
    assert_eq!(decision(&dev, "sam", "projects.archive").await, "DENIED");
    let why = dev.run(&in_acme(&["access", "explain", "sam", "projects.archive"])).await;
    assert!(why.done().out.contains("> shut  catalogue   retired "), "{}", why.out);
    assert_eq!(of_sam(&dev.json(&matrix).await)["idle"], json!(["projects.archive"]));
    let list = in_acme(&["permission", "list", "--prefix", "projects"]);
    assert!(!dev.run(&list).await.done().out.contains("projects.archive"));
    let all = dev.run(&[&list[..], &["--retired"]].concat()).await;
    assert!(all.done().out.contains("Archive projects (retired)\n"), "{}", all.out);
    let again = dev.run(&register).await;
    assert_eq!((again.exit, decision(&dev, "sam", "projects.archive").await), (0, json!("ALLOWED")));

    let foreign = ["permission", "register", "orders.read=See orders", "--service", "projects", "--yes"];
    dev.run(&foreign).await.refused(5, &["PREFIX_NOT_GRANTED", "orders.read"]);
    dev.run(&register[..3]).await.refused(2, &["--service"]);
    dev.run(&["permission", "register", "projects.x", "--service", "projects"]).await.refused(2, &["See orders"]);
}

/// Who lost an answer sends the same again: by the request id and the etag it is the same change, whatever became of the
/// thing since.
#[tokio::test]
async fn a_change_is_repeated_by_its_request_id_and_etag() {
    let dev = Dev::new().await;
    dev.run(&in_acme(&["role", "create", "writer", "--permission", "projects.write", "--yes"])).await.done();
    dev.run(&in_acme(&["group", "create", "crew", "--yes"])).await.done();
    let etag = async |show: &[&str]| {
        let shown = dev.json(show).await;
        shown["etag"].as_str().unwrap().to_owned()
    };
    let relationships = dev.json(&in_acme(&["relationship", "list"])).await;
    let agreed = relationships["relationships"][0]["id"].as_str().unwrap();
    let (show_role, show_group) = (in_acme(&["role", "show", "writer"]), in_acme(&["group", "show", "crew"]));
    let (show_sam, show_agreed) = (in_acme(&["member", "show", "sam"]), in_acme(&["relationship", "show", agreed]));
    let (show_policy, show_acme) = (vec!["workspace", "policy", "show", "acme"], vec!["workspace", "show", "acme"]);
    let changes = [
        (&show_role, in_acme(&["role", "update", "writer", "--add-permission", "projects.read"])),
        (&show_role, in_acme(&["role", "update", "writer", "--remove-permission", "projects.write"])),
        (&show_group, in_acme(&["group", "update", "crew", "--role", "writer"])),
        (&show_sam, in_acme(&["member", "set-roles", "sam", "--add", "guest", "--remove", "member"])),
        (&show_sam, in_acme(&["member", "set-permissions", "sam", "--permission", "projects.read"])),
        (&show_policy, vec!["workspace", "policy", "set", "acme", "--disclosure", "name"]),
        (&show_acme, vec!["workspace", "update", "acme", "--name", "Acme Inc"]),
        (&show_agreed, in_acme(&["relationship", "update", agreed, "--visibility", "hidden"])),
        (&show_agreed, in_acme(&["relationship", "suspend", agreed])),
        (&show_agreed, in_acme(&["relationship", "end", agreed])),
        (&show_group, in_acme(&["group", "delete", "crew"])),
        (&show_role, in_acme(&["role", "delete", "writer", "--force"])),
    ];
    for (place, (show, change)) in changes.iter().enumerate() {
        let (etag, id) = (etag(show).await, format!("0199a000-0000-7000-8000-0000000000{place:02}"));
        let change = [&change[..], &["--yes", "--request-id", &id, "--etag", &etag]].concat();
        let (first, second) = (dev.json(&change).await, dev.json(&change).await);
        assert_eq!(keys(&first), keys(&second), "{change:?}");
        if let Ok(after) = dev.run(&[&show[..], &["--json"]].concat()).await.out.parse::<Value>() {
            assert_ne!(after["etag"], etag, "{change:?} was made");
        }
        // With an id of its own it is another change, of what is not there any more as it was read.
        let id = format!("0199a000-0000-7000-8000-0000000001{place:02}");
        let anew = |word: &&str| word.starts_with("0199a000-");
        let other: Vec<&str> = change.iter().map(|word| if anew(word) { id.as_str() } else { *word }).collect();
        let refused = dev.run(&other).await;
        assert!(matches!(refused.exit, 3 | 4), "{other:?}: {} {}", refused.exit, refused.err);
    }
    // What is not repeatable as it was typed says how it is.
    let id = ["--request-id", "0199a000-0000-7000-8000-000000000200"];
    let before = etag(&show_sam).await;
    let told = dev.run(&[&in_acme(&["member", "set-roles", "sam", "--no-roles", "--yes"])[..], &id].concat()).await;
    assert!(told.done().err.contains(&format!("Again   add --etag {before}")), "{}", told.err);
    let stale = in_acme(&["member", "set-roles", "sam", "--role", "member", "--yes", "--etag", &before]);
    dev.run(&stale).await.refused(4, &["STALE_ETAG", "--etag: it is "]);
}

#[tokio::test]
async fn what_is_printed_names_roles_and_its_json_has_the_documented_keys() {
    let dev = Dev::new().await;
    let group = in_acme(&["group", "create", "crew", "--role", "project-lead"]);
    let rehearsed = dev.run(&[&group[..], &["--dry-run"]].concat()).await;
    assert!(!rehearsed.done().err.contains("Next"), "nothing was made: {}", rehearsed.err);
    let made = dev.json(&[&group[..], &["--yes"]].concat()).await;
    let role = dev.json(&in_acme(&["role", "show", "project-lead"])).await;
    assert_eq!(made["group"]["roles"], json!([{ "id": role["id"], "handle": "project-lead" }]));
    let shown = dev.run(&in_acme(&["group", "show", "crew"])).await;
    assert!(shown.done().out.contains("Roles     project-lead\n"), "{}", shown.out);
    let policy = dev.json(&["workspace", "policy", "show", "acme"]).await;
    assert_eq!(policy["default_ceiling"]["roles"][0]["handle"], "guest");

    let roles = dev.json(&in_acme(&["role", "list", "--limit", "2"])).await;
    assert_eq!((roles["roles"].as_array().unwrap().len(), &roles["more"]), (2, &json!(true)));
    let update = ["role", "update", "project-lead", "--name", "Lead", "--yes"];
    let updated = dev.json(&in_acme(&update)).await;
    let members = dev.json(&in_acme(&["member", "list"])).await;
    let set = dev.json(&in_acme(&["member", "set-roles", "sam", "--no-roles", "--yes"])).await;
    let permissions = dev.json(&in_acme(&["permission", "list"])).await;
    let deleted = dev.json(&in_acme(&["role", "delete", "project-lead", "--force", "--yes"])).await;
    let retire = ["permission", "retire", "projects.write", "--service", "projects", "--yes"];
    let retired = dev.json(&retire).await;
    let groups = dev.json(&in_acme(&["group", "list"])).await;
    documented(&[
        &role,
        &roles,
        &updated,
        &members,
        &members["members"][0],
        &set,
        &permissions,
        &permissions["permissions"][0],
        &deleted,
        &retired,
        &groups,
        &groups["groups"][0],
        &made,
        &policy,
    ]);
}
