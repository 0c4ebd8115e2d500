//! What becomes of the work of a call: it panics, it takes too long, its caller leaves.

use std::sync::Arc;
use std::time::Duration;

use domicile_domain::usecase::{MockDomicileApi, Page};
use domicile_grpc::ServerParts;
use domicile_grpc::method_policy::MethodPolicies;
use domicile_proto::v1::ListRolesRequest;
use domicile_proto::v1::role_service_client::RoleServiceClient;
use tokio::sync::{Notify, oneshot};
use tonic::Code;

use crate::support::{Held, Hold, Served, Thinking, assert_refused, framed, parts, reason, signed};

const LIST_ROLES: &str = "/domicile.v1.RoleService/ListRoles";

#[tokio::test]
async fn a_panic_is_an_incident_and_its_text_stays_here() {
    for text in ["secret text", ""] {
        let mut api = MockDomicileApi::new();
        // A panic carries a literal or a string, and the server reads both.
        api.expect_list_roles().returning(move |_, _, _, _| {
            assert!(!text.is_empty(), "secret literal");
            panic!("{text}");
        });
        let served = Served::mock(api).await;
        let mut client = RoleServiceClient::new(served.channel().await);
        let status = client.list_roles(signed(ListRolesRequest::default())).await.unwrap_err();
        let (code, word, info) = reason(&status);
        assert_eq!((code, word.as_str()), (Code::Internal, "INTERNAL"));
        assert_eq!(info.metadata["incident"].len(), 36);
        let everything = format!("{status:?} {}", String::from_utf8_lossy(status.details()));
        assert!(!everything.contains("secret"), "{everything}");
    }
}

/// A mock that lists roles when it is let go, and tells when it did.
fn slow(mut handler: Hold) -> (MockDomicileApi, oneshot::Receiver<()>) {
    let (tell, done) = oneshot::channel();
    let mut tell = Some(tell);
    let mut api = MockDomicileApi::new();
    api.expect_list_roles().returning(move |_, _, _, _| {
        handler.wait();
        tell.take().unwrap().send(()).unwrap();
        Ok(Page { items: Vec::new(), next_token: String::new() })
    });
    (api, done)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_answered_at_the_callers_deadline_and_its_work_goes_on() {
    let (held, handler) = Held::new();
    let (api, done) = slow(handler);
    let raw = Served::mock(api).await.raw().await;
    let answer = raw.signed(LIST_ROLES, &[("grpc-timeout", b"100m")], framed(&ListRolesRequest::default())).await;
    assert_refused(&answer.status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    held.release();
    done.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_when_the_caller_leaves() {
    let (mut held, handler) = Held::new();
    let (api, done) = slow(handler);
    let served = Served::mock(api).await;
    let mut client = RoleServiceClient::new(served.channel().await);
    let call = tokio::spawn(async move { client.list_roles(signed(ListRolesRequest::default())).await });
    held.entered().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    held.release();
    done.await.unwrap();
}

#[tokio::test]
async fn the_methods_own_ceiling_counts_where_the_caller_sets_none_or_a_later_one() {
    for (path, policy) in MethodPolicies::read().unwrap().iter() {
        for asked in [None, Some(("grpc-timeout", b"9H".as_slice()))] {
            let thinking = Arc::new(Thinking { asked: Notify::new() });
            let authenticator = thinking.clone();
            let raw = Served::of(ServerParts { authenticator, ..parts(MockDomicileApi::new()) }).await.raw().await;
            let headers = asked.into_iter().collect::<Vec<_>>();
            let method = path.to_owned();
            let call = tokio::spawn(async move { raw.signed(&method, &headers, Vec::new()).await });
            thinking.asked.notified().await;
            // From here on time passes by hand alone, and by itself only when nobody has anything to do.
            tokio::time::pause();
            let ceiling = Duration::from_millis(policy.deadline_ms.into());
            tokio::time::advance(ceiling.mul_f64(0.5)).await;
            assert!(!call.is_finished(), "{path} was answered at half its ceiling");
            tokio::time::advance(ceiling.mul_f64(0.5)).await;
            assert_refused(&call.await.unwrap().status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
            tokio::time::resume();
        }
    }
}
