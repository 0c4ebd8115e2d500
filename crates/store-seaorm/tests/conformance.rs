//! SQLite, in a file and in memory, and PostgreSQL pass the suite that every store passes.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domicile_domain::model::contact::ContactKey;
use domicile_domain::model::id::{UserId, WorkspaceId};
use domicile_domain::model::time::Timestamp;
use domicile_domain::port::directory::Directory;
use domicile_domain::port::store::Store;
use domicile_store_seaorm::SeaOrmStore;
use domicile_store_seaorm::inspect::postgres_server;
use domicile_testkit::conformance::{Harness, Subject};
use tempfile::TempDir;

#[derive(Clone)]
struct Opened {
    store: SeaOrmStore,
    /// Keeps a file while the store is used.
    _folder: Option<Arc<TempDir>>,
}

/// The stores of one function.
#[derive(Default)]
struct Made(Mutex<Vec<Opened>>);

impl Made {
    fn keep(&self, store: SeaOrmStore, folder: Option<TempDir>) -> Box<dyn Subject> {
        let opened = Opened { store, _folder: folder.map(Arc::new) };
        self.0.lock().unwrap().push(opened.clone());
        Box::new(opened)
    }

    async fn agree(&self) {
        let made = std::mem::take(&mut *self.0.lock().unwrap());
        for opened in made {
            assert_eq!(opened.store.contradictions().await.unwrap(), Vec::<String>::new());
        }
    }
}

#[async_trait]
impl Subject for Opened {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn directory(&self) -> Arc<dyn Directory> {
        Arc::new(self.store.clone())
    }

    async fn dump(&self) -> BTreeMap<String, Vec<String>> {
        self.store.dump().await.unwrap()
    }

    async fn hold_contact(&self, key: &ContactKey, former_home: WorkspaceId, until: Timestamp) {
        self.store.hold_contact(key, former_home, until).await.unwrap();
    }

    async fn break_user(&self, user: UserId) {
        self.store.break_user(user).await.unwrap();
    }
}

#[derive(Default)]
struct InFile(Made);

#[async_trait]
impl Harness for InFile {
    async fn fresh(&self) -> Box<dyn Subject> {
        let folder = tempfile::tempdir().unwrap();
        let store = SeaOrmStore::open_file(&folder.path().join("domicile.db")).await.unwrap();
        self.0.keep(store, Some(folder))
    }

    async fn agree(&self) {
        self.0.agree().await;
    }
}

#[derive(Default)]
struct InMemory(Made);

#[async_trait]
impl Harness for InMemory {
    async fn fresh(&self) -> Box<dyn Subject> {
        self.0.keep(SeaOrmStore::open_memory().await.unwrap(), None)
    }

    async fn agree(&self) {
        self.0.agree().await;
    }
}

#[derive(Default)]
struct OnServer(Made);

#[async_trait]
impl Harness for OnServer {
    async fn fresh(&self) -> Box<dyn Subject> {
        let store = SeaOrmStore::create_on(&postgres_server().unwrap(), 4).await.unwrap();
        self.0.keep(store, None)
    }

    async fn agree(&self) {
        self.0.agree().await;
    }
}

mod sqlite_file {
    use super::*;
    domicile_testkit::conformance_suite!(InFile::default());
}

mod sqlite_memory {
    use super::*;
    domicile_testkit::conformance_suite!(InMemory::default());
}

mod postgres {
    use super::*;
    domicile_testkit::conformance_suite!(OnServer::default(), if postgres_server().is_some());
}
