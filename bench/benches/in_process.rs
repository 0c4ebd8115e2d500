//! What single functions take in this process: normalisers, the policy's decision, a row, the cipher under tokens. No figure
//! of the table; a place to look when one of those moves.

#![expect(clippy::unwrap_used, reason = "what cannot be ends the benchmark")]

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use divan::{Bencher, black_box};
use domicile_bench::decision::Decision;
use domicile_bench::world::{Spread, World};
use domicile_contact::LibPhoneParser;
use domicile_domain::model::email::EmailAddress;
use domicile_domain::model::id::WorkspaceId;
use domicile_domain::model::name::Username;
use domicile_domain::model::phone::Region;
use domicile_domain::model::workspace::WorkspaceRef;
use domicile_domain::port::contact::PhoneParser;
use domicile_domain::port::directory::Directory;
use domicile_domain::port::store::Store;
use domicile_store_seaorm::SeaOrmStore;
use domicile_testkit::builders::workspace;

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

/// One decision by the policies, as every check makes it.
#[divan::bench(args = [false, true])]
fn decision(bencher: Bencher<'_, '_>, is_external: bool) {
    let decision = if is_external { Decision::of_an_external() } else { Decision::of_an_internal() };
    assert_eq!(decision.make(), Ok(()));
    bencher.bench(|| decision.make());
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
