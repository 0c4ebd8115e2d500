//! Checks of access, and what they are made of.

use domicile_domain::usecase::{BatchCheckAccess, CheckAccess, ListEffectivePermissions, ListSubjects, PageRequest};
use domicile_proto::v1::{self, access_service_server};
use tonic::{Request, Response, Status};

use super::{Services, call_of, refused};
use crate::convert::{self, access};

/// The two forms in which each message names whom it is about.
macro_rules! subject {
    ($wire:expr, $module:ident) => {
        match $wire.subject {
            Some(v1::$module::Subject::Identity(identity)) => access::subject(None, Some(identity)),
            Some(v1::$module::Subject::User(user)) => access::subject(Some(user), None),
            None => access::subject(None, None),
        }
    };
}

#[tonic::async_trait]
impl access_service_server::AccessService for Services {
    async fn check_access(
        &self,
        request: Request<v1::CheckAccessRequest>,
    ) -> Result<Response<v1::CheckAccessResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let check = CheckAccess {
            subject: subject!(wire, check_access_request),
            workspace: wire.workspace,
            permission: wire.permission,
            consistency: convert::consistency(wire.consistency),
        };
        let answer = self.api.check_access(&call, &check).await.map_err(refused(&call))?;
        Ok(Response::new(access::check(answer)))
    }

    async fn batch_check_access(
        &self,
        request: Request<v1::BatchCheckAccessRequest>,
    ) -> Result<Response<v1::BatchCheckAccessResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let batch = BatchCheckAccess {
            entries: wire.entries.into_iter().map(access::question).collect(),
            consistency: convert::consistency(wire.consistency),
        };
        let answer = self.api.batch_check_access(&call, &batch).await.map_err(refused(&call))?;
        Ok(Response::new(v1::BatchCheckAccessResponse {
            results: answer.entries.into_iter().map(access::question_result).collect(),
            check_time: Some(convert::time(answer.checked_at)),
        }))
    }

    async fn list_effective_permissions(
        &self,
        request: Request<v1::ListEffectivePermissionsRequest>,
    ) -> Result<Response<v1::ListEffectivePermissionsResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let list = ListEffectivePermissions {
            subject: subject!(wire, list_effective_permissions_request),
            workspace: wire.workspace,
            page: PageRequest { size: wire.page_size, token: wire.page_token },
            consistency: convert::consistency(wire.consistency),
        };
        let page = self.api.list_effective_permissions(&call, &list).await.map_err(refused(&call))?;
        Ok(Response::new(v1::ListEffectivePermissionsResponse {
            permissions: page.items.into_iter().map(access::effective).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn list_subjects(
        &self,
        request: Request<v1::ListSubjectsRequest>,
    ) -> Result<Response<v1::ListSubjectsResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let list = ListSubjects {
            workspace: wire.workspace,
            permission: wire.permission,
            page: PageRequest { size: wire.page_size, token: wire.page_token },
            consistency: convert::consistency(wire.consistency),
        };
        let page = self.api.list_subjects(&call, &list).await.map_err(refused(&call))?;
        Ok(Response::new(v1::ListSubjectsResponse {
            subjects: page.items.into_iter().map(access::access_subject).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn explain_access(
        &self,
        request: Request<v1::ExplainAccessRequest>,
    ) -> Result<Response<v1::ExplainAccessResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let check = CheckAccess {
            subject: subject!(wire, explain_access_request),
            workspace: wire.workspace,
            permission: wire.permission,
            consistency: convert::consistency(wire.consistency),
        };
        let explanation = self.api.explain_access(&call, &check).await.map_err(refused(&call))?;
        Ok(Response::new(access::explanation(explanation)))
    }
}
