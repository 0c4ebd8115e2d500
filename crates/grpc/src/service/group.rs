//! Groups.

use domicile_domain::usecase::{CreateGroup, DeleteGroup, GroupMembers, Order, PageRequest, UpdateGroup};
use domicile_proto::v1::{self, group_service_server};
use tonic::{Request, Response, Status};

use super::{Services, call_of, changed, identity_of, refused};
use crate::convert;

#[tonic::async_trait]
impl group_service_server::GroupService for Services {
    async fn create_group(
        &self,
        request: Request<v1::CreateGroupRequest>,
    ) -> Result<Response<v1::CreateGroupResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let change = CreateGroup { handle: wire.handle, display_name: wire.display_name, roles: wire.roles };
        let done = self.api.create_group(&call, &order, &change).await.map_err(refused(&call))?;
        Ok(changed(done, |thing, consistency_token| v1::CreateGroupResponse {
            group: thing.as_ref().map(convert::group),
            consistency_token,
        }))
    }

    async fn get_group(&self, request: Request<v1::GetGroupRequest>) -> Result<Response<v1::GetGroupResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let fresh = convert::consistency(wire.consistency);
        let found = self.api.get_group(&call, &wire.workspace, &wire.group, &fresh).await.map_err(refused(&call))?;
        Ok(Response::new(v1::GetGroupResponse { group: Some(convert::group(&found)) }))
    }

    async fn list_groups(
        &self,
        request: Request<v1::ListGroupsRequest>,
    ) -> Result<Response<v1::ListGroupsResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let page = PageRequest { size: wire.page_size, token: wire.page_token };
        let fresh = convert::consistency(wire.consistency);
        let page = self.api.list_groups(&call, &wire.workspace, &page, &fresh).await.map_err(refused(&call))?;
        Ok(Response::new(v1::ListGroupsResponse {
            groups: page.items.iter().map(convert::group).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn update_group(
        &self,
        request: Request<v1::UpdateGroupRequest>,
    ) -> Result<Response<v1::UpdateGroupResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let change = UpdateGroup {
            group: wire.group,
            etag: wire.etag,
            update_mask: convert::mask(wire.update_mask),
            display_name: wire.display_name,
            roles: wire.roles,
        };
        let done = self.api.update_group(&call, &order, &change).await.map_err(refused(&call))?;
        Ok(changed(done, |thing, consistency_token| v1::UpdateGroupResponse {
            group: thing.as_ref().map(convert::group),
            consistency_token,
        }))
    }

    async fn delete_group(
        &self,
        request: Request<v1::DeleteGroupRequest>,
    ) -> Result<Response<v1::DeleteGroupResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let change = DeleteGroup { group: wire.group, etag: wire.etag, force: wire.force };
        let done = self.api.delete_group(&call, &order, &change).await.map_err(refused(&call))?;
        Ok(changed(done, |thing, consistency_token| v1::DeleteGroupResponse {
            group: thing.as_ref().map(convert::group),
            consistency_token,
        }))
    }

    async fn add_group_members(
        &self,
        request: Request<v1::AddGroupMembersRequest>,
    ) -> Result<Response<v1::AddGroupMembersResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let change = GroupMembers { group: wire.group, users: wire.users };
        let done = self.api.add_group_members(&call, &order, &change).await.map_err(refused(&call))?;
        Ok(changed(done, |thing, consistency_token| v1::AddGroupMembersResponse {
            group: thing.as_ref().map(convert::group),
            consistency_token,
        }))
    }

    async fn remove_group_members(
        &self,
        request: Request<v1::RemoveGroupMembersRequest>,
    ) -> Result<Response<v1::RemoveGroupMembersResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let change = GroupMembers { group: wire.group, users: wire.users };
        let done = self.api.remove_group_members(&call, &order, &change).await.map_err(refused(&call))?;
        Ok(changed(done, |thing, consistency_token| v1::RemoveGroupMembersResponse {
            group: thing.as_ref().map(convert::group),
            consistency_token,
        }))
    }

    async fn list_group_members(
        &self,
        request: Request<v1::ListGroupMembersRequest>,
    ) -> Result<Response<v1::ListGroupMembersResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let page = PageRequest { size: wire.page_size, token: wire.page_token };
        let fresh = convert::consistency(wire.consistency);
        let listed = self.api.list_group_members(&call, &wire.workspace, &wire.group, &page, &fresh).await;
        let page = listed.map_err(refused(&call))?;
        Ok(Response::new(v1::ListGroupMembersResponse {
            memberships: page.items.into_iter().map(convert::membership).collect(),
            next_page_token: page.next_token,
        }))
    }
}
