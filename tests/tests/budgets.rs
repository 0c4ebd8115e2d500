//! Budgets of identity probes as a client meets them: what an answer says of them, what a refusal carries, and that it passes
//! after the pause it names.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::num::NonZeroU32;
use std::sync::Arc;

use domicile_client::v1::LookupUserRequest;
use domicile_client::v1::user_service_client::UserServiceClient;
use domicile_domain::model::budget::Budgets;
use domicile_domain::model::id::UserId;
use domicile_domain::usecase::Domicile;
use domicile_store_seaorm::SeaOrmStore;
use domicile_testkit::builders::WIDE_BUDGETS;
use domicile_tests::world::World;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Extensions, Request, Status};
use tonic_types::StatusExt;

/// A search in a workspace, by a person, with the budgets that the answer tells.
async fn search(channel: &Channel, person: UserId, workspace: &str) -> Result<String, Status> {
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", "Bearer t".parse().unwrap());
    metadata.insert("x-request-id", "the-same-for-all".parse().unwrap());
    metadata.insert("x-domicile-acting-user", person.to_string().parse().unwrap());
    let search = LookupUserRequest {
        workspace: workspace.to_owned(),
        email: "somebody@people.example".to_owned(),
        phone: String::new(),
    };
    let request = Request::from_parts(metadata, Extensions::default(), search);
    let answer = UserServiceClient::new(channel.clone()).lookup_user(request).await?;
    Ok(answer.metadata().get("x-domicile-budget").unwrap().to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_client_hears_how_the_budgets_stand_and_when_to_come_again() {
    let mut world = World::new(Arc::new(SeaOrmStore::open_memory().await.unwrap())).await;
    let limit = |limit| NonZeroU32::new(limit).unwrap();
    let budgets = Budgets {
        probes_per_user_minute: limit(3),
        probes_per_workspace_hour: limit(300),
        probes_per_service_hour: limit(2000),
    };
    world.domicile = Arc::new(Domicile::new(world.ports.clone()).with_budgets(budgets));
    let endpoint = format!("http://{}", world.serve().await);
    let channel = Channel::from_shared(endpoint).unwrap().connect().await.unwrap();
    let dana = world.acme.manager;
    // Making both workspaces cost the service two.
    for (user, workspace, service) in [(2, 299, 1997), (1, 298, 1996), (0, 297, 1995)] {
        let told = format!(
            "user;limit=3;remaining={user}, workspace;limit=300;remaining={workspace}, \
             service;limit=2000;remaining={service}"
        );
        assert_eq!(search(&channel, dana, "acme").await.unwrap(), told);
    }
    let status = search(&channel, dana, "acme").await.unwrap_err();
    let details = status.get_error_details();
    let told = details.error_info().unwrap();
    assert_eq!((status.code(), told.reason.as_str()), (Code::ResourceExhausted, "BUDGET_EXHAUSTED"));
    assert_eq!((told.metadata["budget"].as_str(), told.metadata["limit"].as_str()), ("user", "3"));
    assert_eq!(details.quota_failure().unwrap().violations[0].subject, "budget:user");
    world.clock.advance(details.retry_info().unwrap().retry_delay.unwrap());
    assert!(search(&channel, dana, "acme").await.is_ok());
}

/// Who is nothing in a workspace hears the same of one that is there and whose budget is used up as of none.
#[tokio::test]
async fn a_used_up_budget_tells_nobody_that_a_workspace_exists() {
    let store = Arc::new(SeaOrmStore::open_memory().await.unwrap());
    let mut world = World::new(store.clone()).await;
    let budgets = Budgets { probes_per_workspace_hour: NonZeroU32::MIN, ..WIDE_BUDGETS };
    world.domicile = Arc::new(Domicile::new(world.ports.clone()).with_budgets(budgets));
    let endpoint = format!("http://{}", world.serve().await);
    let channel = Channel::from_shared(endpoint).unwrap().connect().await.unwrap();
    search(&channel, world.acme.manager, "acme").await.unwrap();
    let full = search(&channel, world.acme.manager, "acme").await.unwrap_err();
    assert_eq!(full.get_error_details().error_info().unwrap().metadata["budget"], "workspace");
    let mut heard = Vec::new();
    for workspace in ["acme", "nowhere"] {
        let counted = store.statements();
        let status = search(&channel, world.borealis.manager, workspace).await.unwrap_err();
        heard.push((
            status.code(),
            status.message().to_owned(),
            status.details().to_vec(),
            store.statements() - counted,
        ));
    }
    assert_eq!(heard[0].0, Code::PermissionDenied);
    assert_eq!(heard[0], heard[1]);
}
