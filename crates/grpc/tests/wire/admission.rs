//! How much may be at work, and what becomes of what is too much.

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::usecase::{MockDomicileApi, Page};
use domicile_grpc::{Limits, ServerParts};
use domicile_proto::v1::{CheckAccessRequest, ListRolesRequest};
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_types::StatusExt;

use crate::support::{Answer, Held, Hold, Raw, Served, assert_refused, framed, limits, parts, reason};

const LIST_ROLES: &str = "/domicile.v1.RoleService/ListRoles";
const CHECK_ACCESS: &str = "/domicile.v1.AccessService/CheckAccess";

async fn list_roles(raw: &Raw) -> Answer {
    raw.signed(LIST_ROLES, &[], framed(&ListRolesRequest::default())).await
}

async fn check_access(raw: &Raw) -> Answer {
    raw.signed(CHECK_ACCESS, &[], framed(&CheckAccessRequest::default())).await
}

fn one_of_each() -> Limits {
    Limits { calls_per_process: 1, checks_per_process: 1, ..limits() }
}

/// A mock whose first call of each kind is held, and that answers the others: roles with a page, checks with `NOT_FOUND`.
fn holding(list: Option<Hold>, check: Option<Hold>) -> MockDomicileApi {
    let mut api = MockDomicileApi::new();
    let page = || Page { items: Vec::new(), next_token: String::new() };
    // An expectation answers one call after the other, so the held one has its own.
    if let Some(mut hold) = list {
        api.expect_list_roles().times(1).returning(move |_, _, _, _| {
            hold.wait();
            Ok(page())
        });
    }
    if let Some(mut hold) = check {
        api.expect_check_access().times(1).returning(move |_, _| {
            hold.wait();
            Err(Refusal::new(Reason::NotFound))
        });
    }
    api.expect_list_roles().returning(move |_, _, _, _| Ok(page()));
    api.expect_check_access().returning(|_, _| Err(Refusal::new(Reason::NotFound)));
    api
}

/// Calls over a connection of its own.
async fn spawned<F>(served: &Served, call: impl FnOnce(Raw) -> F) -> JoinHandle<Answer>
where
    F: Future<Output = Answer> + Send + 'static,
{
    tokio::spawn(call(served.raw().await))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_pool_refuses_at_once_and_starves_neither_the_other_nor_health() {
    // Which pool is full, by connections of their own and over the same one.
    for checks_are_full in [false, true] {
        let (mut held, handler) = Held::new();
        let api = if checks_are_full { holding(None, Some(handler)) } else { holding(Some(handler), None) };
        let served = Served::of(ServerParts { limits: one_of_each(), ..parts(api) }).await;
        let raw = served.raw().await;
        let first = if checks_are_full {
            spawned(&served, async move |raw| check_access(&raw).await).await
        } else {
            spawned(&served, async move |raw| list_roles(&raw).await).await
        };
        held.entered().await;

        let (full, other, pool) = if checks_are_full {
            (check_access(&raw).await, list_roles(&raw).await, "checks")
        } else {
            (list_roles(&raw).await, check_access(&raw).await, "calls")
        };
        let (code, word, info) = reason(&full.status);
        assert_eq!((code, word.as_str()), (Code::Unavailable, "OVERLOADED"));
        assert_eq!((info.metadata["pool"].as_str(), info.metadata["of"].as_str()), (pool, "process"));
        assert!(full.status.get_error_details().retry_info().is_some_and(|retry| retry.retry_delay.is_some()));
        assert!(matches!(other.status.code(), Code::Ok | Code::NotFound), "{:?}", other.status);
        let body = framed(&HealthCheckRequest { service: String::new() });
        assert_eq!(raw.call("/grpc.health.v1.Health/Check", &[], body).await.status.code(), Code::Ok);

        held.release();
        first.await.unwrap();
        let again = if checks_are_full { check_access(&raw).await } else { list_roles(&raw).await };
        assert!(matches!(again.status.code(), Code::Ok | Code::NotFound), "{:?}", again.status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_pool_refuses_before_it_asks_who_calls() {
    let (mut held, handler) = Held::new();
    let served = Served::of(ServerParts { limits: one_of_each(), ..parts(holding(Some(handler), None)) }).await;
    let first = spawned(&served, async move |raw| list_roles(&raw).await).await;
    held.entered().await;
    let raw = served.raw().await;
    let stranger = raw.call(LIST_ROLES, &[], framed(&ListRolesRequest::default())).await;
    assert_refused(&stranger.status, Code::Unavailable, "OVERLOADED");
    held.release();
    first.await.unwrap();
    let stranger = raw.call(LIST_ROLES, &[], framed(&ListRolesRequest::default())).await;
    assert_refused(&stranger.status, Code::Unauthenticated, "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_connection_takes_its_share_and_leaves_the_rest_to_others() {
    let (mut held, handler) = Held::new();
    let limits = Limits { calls_per_connection: 1, calls_per_process: 2, ..one_of_each() };
    let served = Served::of(ServerParts { limits, ..parts(holding(Some(handler), None)) }).await;
    let greedy = std::sync::Arc::new(served.raw().await);
    let first = {
        let greedy = greedy.clone();
        tokio::spawn(async move { list_roles(&greedy).await })
    };
    held.entered().await;
    let (_, word, info) = reason(&list_roles(&greedy).await.status);
    assert_eq!((word.as_str(), info.metadata["of"].as_str()), ("OVERLOADED", "connection"));
    assert_eq!(check_access(&greedy).await.status.code(), Code::NotFound, "checks of the same connection");
    assert_eq!(list_roles(&served.raw().await).await.status.code(), Code::Ok, "calls of another");
    held.release();
    first.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn work_counts_until_it_ends_though_its_caller_left_or_its_time_is_over() {
    for leaves in [true, false] {
        let (mut held, handler) = Held::new();
        let served = Served::of(ServerParts { limits: one_of_each(), ..parts(holding(Some(handler), None)) }).await;
        let raw = served.raw().await;
        let first = spawned(&served, async move |raw| {
            // The one that leaves has time enough.
            let timeout: &[u8] = if leaves { b"20S" } else { b"100m" };
            raw.signed(LIST_ROLES, &[("grpc-timeout", timeout)], framed(&ListRolesRequest::default())).await
        });
        let first = first.await;
        held.entered().await;
        if leaves {
            first.abort();
            assert!(first.await.unwrap_err().is_cancelled());
        } else {
            assert_refused(&first.await.unwrap().status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
        }
        assert_refused(&list_roles(&raw).await.status, Code::Unavailable, "OVERLOADED");
        held.release();
        // The work ends by itself; nobody is told when.
        while list_roles(&raw).await.status.code() != Code::Ok {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_connection_above_the_limit_is_closed_and_one_that_ends_makes_room() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let served = Served::of(ServerParts { limits, ..parts(MockDomicileApi::new()) }).await;
    let nowhere = async |raw: &Raw| raw.signed("/nowhere", &[], framed(&())).await.status.code();
    let first = served.raw().await;
    assert_eq!(nowhere(&first).await, Code::Unimplemented);
    let mut second = served.stream().await;
    let mut said = Vec::new();
    // Closed at once, by a word or without one; nothing is served over it.
    let _ = second.read_to_end(&mut said).await;
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(nowhere(&first).await, Code::Unimplemented, "the first one goes on");
    drop(first);
    // The server hears of the end when it hears of it.
    let third = loop {
        let stream = served.stream().await;
        let Ok(raw) = Raw::over(stream).await else { continue };
        if raw.is_served().await {
            break raw;
        }
    };
    assert_eq!(nowhere(&third).await, Code::Unimplemented);
}

#[tokio::test]
async fn a_panic_gives_back_what_it_took() {
    let mut api = MockDomicileApi::new();
    api.expect_list_roles().returning(|_, _, _, _| panic!("a defect"));
    let raw = Served::of(ServerParts { limits: one_of_each(), ..parts(api) }).await.raw().await;
    for _ in 0..3 {
        assert_refused(&list_roles(&raw).await.status, Code::Internal, "INTERNAL");
    }
}
