//! The server is killed again and again under load (C14): every save that was acknowledged is there, the mail of every
//! committed save arrives in the end, and nothing stands half written.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot be fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domicile_client::{Client, v1};
use domicile_store_seaorm::inspect::postgres_server;
use domicile_store_seaorm::{Database, SeaOrmStore};
use domicile_tests::postgres::fresh_url;
use domicile_tests::server::{Server, settings};
use domicile_tests::sink::Sink;
use tokio::sync::mpsc;
use uuid::Uuid;

/// How often a server is killed; `DOMICILE_TEST_CRASHES` asks for more.
const CRASHES: u64 = 10;
const CLIENTS: usize = 8;
/// Only against waiting for ever: what was cut is due again after its lease, and a hundred crashes leave thousands.
const SENT_WITHIN: Duration = Duration::from_mins(15);

/// A save that was acknowledged.
#[derive(Debug)]
struct Acknowledged {
    user: String,
    notification: String,
}

fn save(number: u64) -> v1::AssignUserRequest {
    v1::AssignUserRequest {
        workspace: "acme".into(),
        request_id: Uuid::now_v7().to_string(),
        expectation: v1::Expectation::Create.into(),
        email: format!("p{number}@people.example"),
        profile: Some(v1::Profile {
            first_name: "Pat".into(),
            last_name: "Person".into(),
            username: format!("p{number}"),
            preferred_language: "en".into(),
        }),
        ..v1::AssignUserRequest::default()
    }
}

/// Saves until the server is gone.
async fn save_on(client: Client, next: Arc<AtomicU64>, acknowledged: mpsc::UnboundedSender<Acknowledged>) {
    loop {
        let answer = client.assign_user(save(next.fetch_add(1, Ordering::Relaxed))).await;
        let Ok(saved) = answer else { return };
        let user = saved.membership.unwrap().user;
        let told = Acknowledged { user, notification: saved.notification };
        if acknowledged.send(told).is_err() {
            return;
        }
    }
}

async fn new_workspace(server: &Server) -> String {
    let request = v1::CreateWorkspaceRequest {
        request_id: Uuid::now_v7().to_string(),
        handle: "acme".into(),
        display_name: "Acme".into(),
        default_region: "HU".into(),
        default_language: "en".into(),
        manager: Some(v1::FirstManager {
            email: "dana@acme.example".into(),
            profile: Some(v1::Profile {
                first_name: "Dana".into(),
                last_name: "Reyes".into(),
                username: "dana".into(),
                preferred_language: "en".into(),
            }),
            ..v1::FirstManager::default()
        }),
        ..v1::CreateWorkspaceRequest::default()
    };
    server.client(None).await.create_workspace(request).await.unwrap().manager.unwrap().user
}

/// Every message of the workspace by name, with its state.
async fn messages(client: &Client) -> BTreeMap<String, v1::NotificationState> {
    let mut states = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request =
            v1::ListNotificationsRequest { workspace: "acme".into(), page_size: 1000, page_token, consistency: None };
        let page = client.list_notifications(request).await.unwrap();
        states.extend(page.notifications.iter().map(|n| (n.name.clone(), n.state())));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return states;
        }
    }
}

/// Returns every message once none waits any more.
async fn settled(client: &Client) -> BTreeMap<String, v1::NotificationState> {
    let waits = |state: &v1::NotificationState| {
        matches!(state, v1::NotificationState::Queued | v1::NotificationState::Retrying)
    };
    let all = async {
        let mut look = tokio::time::interval(Duration::from_millis(250));
        loop {
            look.tick().await;
            let states = messages(client).await;
            if !states.values().any(waits) {
                return states;
            }
        }
    };
    tokio::time::timeout(SENT_WITHIN, all).await.unwrap()
}

async fn nothing_is_lost(database: &str) {
    let Some(sink) = Sink::start(&[]) else { return };
    let crashes = std::env::var("DOMICILE_TEST_CRASHES").map_or(CRASHES, |times| times.parse().unwrap());
    SeaOrmStore::migrate(&database.parse::<Database>().unwrap()).await.unwrap();
    let mut settings = settings(database);
    settings.insert("DOMICILE_SMTP_HOST", "127.0.0.1".to_owned());
    settings.insert("DOMICILE_SMTP_PORT", sink.port.to_string());
    settings.insert("DOMICILE_SMTP_SECURITY", "none".to_owned());
    settings.insert("DOMICILE_SMTP_SENDER", "no-reply@domicile.example".to_owned());
    let next = Arc::new(AtomicU64::new(0));
    let mut acknowledged = Vec::new();
    let mut manager = None;
    for crash in 0..crashes {
        let server = Server::start(&settings).await;
        if manager.is_none() {
            manager = Some(new_workspace(&server).await);
        }
        let (send, mut receive) = mpsc::unbounded_channel();
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let client = server.client(manager.as_deref()).await;
            clients.push(tokio::spawn(save_on(client, next.clone(), send.clone())));
        }
        drop(send);
        // After another number of saves each time, so that it falls on another instant of a save.
        for _ in 0..=(crash * 7 % 23) {
            acknowledged.push(receive.recv().await.unwrap());
        }
        server.kill().await;
        for client in clients {
            client.await.unwrap();
        }
        // What was acknowledged before the end came.
        while let Ok(told) = receive.try_recv() {
            acknowledged.push(told);
        }
    }

    let server = Server::start(&settings).await;
    let client = server.client(manager.as_deref()).await;
    let states = settled(&client).await;
    for told in &acknowledged {
        let request = v1::GetMembershipRequest {
            workspace: "acme".into(),
            user: told.user.clone(),
            ..v1::GetMembershipRequest::default()
        };
        client.get_membership(request).await.unwrap();
        assert!(states.contains_key(&told.notification), "the message of {told:?} is lost");
    }
    assert!(states.values().all(|state| *state == v1::NotificationState::HandedOver), "{states:?}");
    let (ended, log) = server.stop().await;
    assert!(ended.success(), "{log:?}");
    // A message that left before its state was written leaves twice, under the same id.
    let arrived: BTreeSet<String> = sink.taken().iter().map(|mail| mail.header("Message-ID")[0].to_owned()).collect();
    let id_of = |name: &String| format!("<{}@domicile.example>", name.rsplit('/').next().unwrap());
    assert_eq!(arrived, states.keys().map(id_of).collect(), "a message was lost or invented");

    // Saves commit whole: as many people as memberships, profiles, messages, answers and addresses.
    let store = SeaOrmStore::open(&database.parse::<Database>().unwrap(), 1).await.unwrap();
    assert_eq!(store.contradictions().await.unwrap(), Vec::<String>::new());
    let dump = store.dump().await.unwrap();
    let people = dump["users"].len();
    assert!(people > acknowledged.len());
    for table in ["memberships", "user_profiles", "contacts", "notices", "notice_messages", "answered_requests"] {
        assert_eq!(dump[table].len(), people, "{table}");
    }
    assert_eq!(dump["events"].len(), 2 * people + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    nothing_is_lost(&format!("sqlite:{}", folder.path().join("d.db").display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed_on_postgres() {
    let Some(server) = postgres_server() else { return };
    nothing_is_lost(&fresh_url(&server).await).await;
}
