//! What single functions take in this process: normalisers, the policy's decision, a row, the cipher under tokens. No figure
//! of the table; a place to look when one of those moves.

#![expect(clippy::unwrap_used, reason = "what cannot be ends the benchmark")]

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use divan::{Bencher, black_box};
use domicile_bench::world::{Spread, World};
use domicile_contact::LibPhoneParser;
use domicile_domain::model::email::EmailAddress;
use domicile_domain::model::facts::{AccessFacts, AccountFacts};
use domicile_domain::model::id::WorkspaceId;
use domicile_domain::model::membership::{ExternalState, Membership};
use domicile_domain::model::name::Username;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::phone::Region;
use domicile_domain::model::role::Role;
use domicile_domain::model::time::{Revision, Timestamp};
use domicile_domain::model::user::UserState;
use domicile_domain::model::workspace::{Openness, WorkspaceRef, WorkspaceState};
use domicile_domain::policy::Policies;
use domicile_domain::port::contact::PhoneParser;
use domicile_domain::port::directory::Directory;
use domicile_domain::port::store::Store;
use domicile_store_seaorm::SeaOrmStore;
use domicile_testkit::builders::{external, group, internal, permission_name, relationship, role, user, workspace};

fn main() {
    divan::main();
}

#[divan::bench(args = ["anna.kovacs@acme.example", "ANNA@Bücher.example", " Straße@acme.example "])]
fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(black_box(text)).unwrap()
}

#[divan::bench(args = ["anna.kovacs", "Åsa.Öberg"])]
fn username(text: &str) -> Username {
    Username::parse(black_box(text)).unwrap()
}

#[divan::bench(args = ["+36301234567", "06 30 123 4567", "tel:+36-30-123-4567"])]
fn phone(bencher: Bencher<'_, '_>, text: &str) {
    let region = Region::parse("HU").unwrap();
    bencher.bench(|| LibPhoneParser.parse(black_box(text), region).unwrap());
}

/// How many permissions a role of a usual workspace has.
const USUAL_PERMISSIONS: usize = 20;

/// Facts about a usual member with three roles, the last of which grants: of an Internal it is carried by a group; an External
/// of a related home has it within a ceiling of three roles and a direct permission.
fn facts(is_external: bool) -> (AccessFacts, PermissionName) {
    let (host, home) = (workspace("acme"), workspace("borealis"));
    let permission = permission_name("orders.read");
    let usual = |handle: &str| {
        let names = (0..USUAL_PERMISSIONS).map(|number| permission_name(&format!("{handle}.action-{number}")));
        Role { permissions: names.collect(), for_externals: true, ..role(host.id, handle) }
    };
    let (clerk, packer, mut reader) = (usual("clerk"), usual("packer"), usual("reader"));
    reader.permissions.insert(permission.clone());
    let all = [clerk.id, packer.id, reader.id];
    let person = user(if is_external { home.id } else { host.id }, "anna");
    let mut related = relationship(host.id, home.id);
    related.host_terms.ceiling.roles = all.into();
    related.host_terms.ceiling.permissions.insert(permission_name("orders.note"));
    let membership = if is_external {
        let mut visit = external(&person, host.id);
        visit.base.grants.roles = all.into();
        visit.state = ExternalState::Active;
        Membership::External(visit)
    } else {
        let mut own = internal(&person);
        own.base.grants.roles = [clerk.id, packer.id].into();
        own.groups.insert(group(host.id, "readers").id);
        Membership::Internal(own)
    };
    let account = AccountFacts {
        user: person.id,
        home: person.home,
        state: UserState::Active,
        home_state: WorkspaceState::Active,
        home_revision: Revision::FIRST,
        home_outbound: Openness::Open,
    };
    let facts = AccessFacts {
        workspace: host.into(),
        account: Some(account),
        membership: Some(membership),
        roles: [clerk, packer, reader].map(Into::into).into(),
        relationship: is_external.then(|| related.into()),
    };
    (facts, permission)
}

/// One decision by the policies, as every check makes it.
#[divan::bench(args = [false, true])]
fn decision(bencher: Bencher<'_, '_>, is_external: bool) {
    let (facts, permission) = facts(is_external);
    let (policies, now) = (Policies::default(), Timestamp::from_micros(1_800_000_000_000_000));
    let decide = || policies.decide(black_box(&facts), black_box(&permission), now);
    assert_eq!(decide(), Ok(()));
    bencher.bench(decide);
}

/// A statement and the conversion of its row, with a database in memory.
#[divan::bench]
fn workspace_row(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (store, id): (SeaOrmStore, WorkspaceId) = runtime.block_on(async {
        let store = SeaOrmStore::open_memory().await.unwrap();
        let row = workspace("acme");
        let mut unit = store.begin(std::time::Duration::from_secs(1)).await.unwrap();
        unit.workspaces().insert(&row).await.unwrap();
        unit.commit().await.unwrap();
        (store, row.id)
    });
    bencher.bench(|| runtime.block_on(store.workspace(&WorkspaceRef::Id(id))).unwrap().unwrap());
}

/// The content of a token is padded to blocks of 64 bytes.
#[divan::bench(args = [64, 128, 192])]
fn token_cipher(bencher: Bencher<'_, '_>, bytes: usize) {
    let cipher = XChaCha20Poly1305::new(&Key::from([7; 32]));
    let (nonce, content) = (XNonce::from([9; 24]), vec![7; bytes]);
    let payload = || Payload { msg: &content, aad: b"page-token" };
    let sealed = cipher.encrypt(&nonce, payload()).unwrap();
    bencher.bench(|| {
        let again = cipher.encrypt(&nonce, payload()).unwrap();
        cipher.decrypt(&nonce, Payload { msg: &sealed, aad: b"page-token" }).map(|opened| (opened, again)).unwrap()
    });
}

/// What the harness itself spends on a check, so that it is known to be small.
#[divan::bench]
fn oracle(bencher: Bencher<'_, '_>) {
    let world = World::new(100_000, 1);
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        world.check(Spread::Everywhere, number)
    });
}
