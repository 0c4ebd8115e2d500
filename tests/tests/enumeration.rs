//! Who exists is told by the answer of a search alone, to those who may search: not by its length, not by the work behind
//! it, and to nobody else (R9).
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::sync::Arc;

use domicile_client::{Client, v1};
use domicile_domain::model::user::UserState;
use domicile_store_seaorm::SeaOrmStore;
use domicile_tests::world::World;
use prost::Message;

/// How many people there are, and how many there are not.
const PEOPLE: usize = 50;

struct Stage {
    store: Arc<SeaOrmStore>,
    world: World,
}

impl Stage {
    async fn new() -> Self {
        let store = Arc::new(SeaOrmStore::open_memory().await.unwrap());
        let world = World::new(store.clone()).await;
        for number in 0..PEOPLE {
            world.person(world.borealis, &format!("person{number:02}"), None, UserState::Active).await;
        }
        Self { store, world }
    }

    /// A search for somebody who exists or does not, and the statements that it took.
    async fn searched(&self, client: &Client, name: &str, number: usize) -> (Result<usize, String>, u64) {
        let search = v1::LookupUserRequest {
            workspace: "acme".to_owned(),
            email: format!("{name}{number:02}@people.example"),
            phone: String::new(),
        };
        let before = self.store.statements();
        let answer = client.lookup_user(search).await;
        let length = answer.map(|found| found.encoded_len()).map_err(|error| format!("{error:?}"));
        (length, self.store.statements() - before)
    }
}

#[tokio::test]
async fn a_search_is_as_long_and_as_much_work_whether_or_not_the_person_exists() {
    let stage = Stage::new().await;
    let client = stage.world.connect(Some(stage.world.acme.manager)).await;
    let mut classes = std::collections::BTreeSet::new();
    for number in 0..PEOPLE {
        for name in ["person", "nobody"] {
            let (length, statements) = stage.searched(&client, name, number).await;
            // The initials of who was found take less than a class of lengths.
            classes.insert((length.unwrap().div_ceil(256), statements));
        }
    }
    assert_eq!(classes.len(), 1, "classes of length with statements: {classes:?}");
}

#[tokio::test]
async fn whoever_may_not_search_is_answered_alike_after_the_same_work() {
    let stage = Stage::new().await;
    let client = stage.world.connect(Some(stage.world.borealis.manager)).await;
    let mut answers = std::collections::BTreeSet::new();
    for number in 0..PEOPLE {
        for name in ["person", "nobody"] {
            let (answer, statements) = stage.searched(&client, name, number).await;
            let told = answer.unwrap_err();
            let (said, _) = told.split_once("request_id").unwrap_or((&told, ""));
            answers.insert((said.to_owned(), statements));
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}
