//! The contract, served by reflection with everything that stands in it.

use std::collections::BTreeSet;

use domicile_domain::usecase::MockDomicileApi;
use domicile_grpc::ServerParts;
use domicile_grpc::method_policy::MethodPolicies;
use domicile_proto::FILE_DESCRIPTOR_SET;
use prost_reflect::DescriptorPool;
use tonic::{Code, Request};

use crate::support::{Served, assert_refused, parts, signed};

/// The same questions to both versions of the protocol.
macro_rules! versions {
    ($($version:ident)*) => {$(
        mod $version {
            use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
            use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
            use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
            use tonic_reflection::pb::$version::{ServerReflectionRequest, ServiceResponse};
            use tonic::transport::Channel;
            use tonic::{Request, Status};

            async fn ask(
                channel: Channel,
                signed: fn(()) -> Request<()>,
                question: MessageRequest,
            ) -> Result<MessageResponse, Status> {
                let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
                let (metadata, extensions, ()) = signed(()).into_parts();
                let request = Request::from_parts(metadata, extensions, tokio_stream::once(request));
                let answers = ServerReflectionClient::new(channel).server_reflection_info(request).await?;
                let answer = answers.into_inner().message().await?.expect("an answer to each question");
                Ok(answer.message_response.expect("it says something"))
            }

            pub(super) async fn services(
                channel: Channel,
                signed: fn(()) -> Request<()>,
            ) -> Result<Vec<String>, Status> {
                let question = MessageRequest::ListServices(String::new());
                match ask(channel, signed, question).await? {
                    MessageResponse::ListServicesResponse(list) => {
                        Ok(list.service.into_iter().map(|ServiceResponse { name }| name).collect())
                    }
                    other => panic!("{other:?}"),
                }
            }

            pub(super) async fn file(channel: Channel, symbol: &str) -> Vec<u8> {
                let question = MessageRequest::FileContainingSymbol(symbol.to_owned());
                match ask(channel, Request::new, question).await.unwrap() {
                    MessageResponse::FileDescriptorResponse(files) => files.file_descriptor_proto.concat(),
                    other => panic!("{other:?}"),
                }
            }
        }
    )*};
}

versions!(v1 v1alpha);

/// The services of the contract, and the standard ones beside them.
fn expected() -> BTreeSet<String> {
    let policies = MethodPolicies::read().unwrap();
    policies.iter().map(|(path, _)| path.split('/').nth(1).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn both_versions_list_the_services_and_serve_the_files_unchanged() {
    let served = Served::mock(MockDomicileApi::new()).await;
    let channel = served.channel().await;
    for listed in [
        v1::services(channel.clone(), Request::new).await.unwrap(),
        v1alpha::services(channel.clone(), Request::new).await.unwrap(),
    ] {
        let listed: BTreeSet<String> = listed.into_iter().filter(|name| name.starts_with("domicile.")).collect();
        assert_eq!(listed, expected());
    }
    let ours = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    for file in ours.files() {
        let raw = ours.get_file_by_name(file.name()).unwrap().encode_to_vec();
        let Some(symbol) = file.messages().next().map(|message| message.full_name().to_owned()) else {
            continue;
        };
        assert_eq!(v1::file(channel.clone(), &symbol).await, raw, "{symbol}");
        assert_eq!(v1alpha::file(channel.clone(), &symbol).await, raw, "{symbol}");
    }
}

#[tokio::test]
async fn outside_development_the_contract_is_read_by_known_services_alone() {
    let served = Served::of(ServerParts { development: false, ..parts(MockDomicileApi::new()) }).await;
    let channel = served.channel().await;
    for refused in [
        v1::services(channel.clone(), Request::new).await.unwrap_err(),
        v1alpha::services(channel.clone(), Request::new).await.unwrap_err(),
    ] {
        assert_refused(&refused, Code::Unauthenticated, "UNAUTHENTICATED");
    }
    assert!(!v1::services(channel.clone(), signed).await.unwrap().is_empty());
    assert!(!v1alpha::services(channel, signed).await.unwrap().is_empty());
}
