//! Checks of access.

use domicile_domain::usecase::{CheckAccess, CheckSubject};
use domicile_proto::v1::{self, access_service_server};
use tonic::{Request, Response, Status};

use super::{Services, call_of, refused};
use crate::convert;
#[tonic::async_trait]
impl access_service_server::AccessService for Services {
    async fn check_access(
        &self,
        request: Request<v1::CheckAccessRequest>,
    ) -> Result<Response<v1::CheckAccessResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let subject = match wire.subject {
            Some(v1::check_access_request::Subject::Identity(identity)) => {
                CheckSubject::Identity(convert::identity(Some(identity)))
            }
            Some(v1::check_access_request::Subject::User(user)) => CheckSubject::User(user),
            None => CheckSubject::User(String::new()),
        };
        let check = CheckAccess {
            workspace: wire.workspace,
            subject,
            permission: wire.permission,
            consistency: convert::consistency(wire.consistency),
        };
        let answer = self.api.check_access(&call, &check).await.map_err(refused(&call))?;
        let (decision, reason) = match answer.decision {
            Ok(()) => (v1::AccessDecision::Allowed, v1::DenialReason::Unspecified),
            Err(denial) => (v1::AccessDecision::Denied, convert::denial(denial)),
        };
        Ok(Response::new(v1::CheckAccessResponse {
            decision: decision.into(),
            reason: reason.into(),
            check_time: Some(convert::time(answer.checked_at)),
            valid_until_time: Some(convert::time(answer.valid_until)),
        }))
    }
}
