//! Groups.

use domicile_domain::model::group::GroupSize;
use domicile_domain::usecase::etag;
use domicile_proto::v1;

pub(crate) fn group(size: &GroupSize) -> v1::Group {
    let GroupSize { group, members } = size;
    let workspace = group.workspace;
    v1::Group {
        name: format!("workspaces/{workspace}/groups/{}", group.id),
        uid: group.id.to_string(),
        handle: group.handle.to_string(),
        display_name: group.display_name.to_string(),
        roles: group.roles.iter().map(|role| format!("workspaces/{workspace}/roles/{role}")).collect(),
        member_count: i64::try_from(*members).unwrap_or(i64::MAX),
        etag: etag(group.id, group.version),
    }
}
