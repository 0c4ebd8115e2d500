//! One request id, one effect, one answer (C13).

use super::api::Call;
use crate::error::{Reason, Refusal};
use crate::model::answer::{AnsweredRequest, RequestFingerprint, RequestKey, StoredAnswer};
use crate::model::audit::AuditAction;
use crate::model::id::{MembershipId, RequestId, UserId, WorkspaceId};
use crate::model::membership::Membership;
use crate::model::time::Timestamp;
use crate::model::workspace::WorkspaceRef;
use crate::port::directory::MemberRow;
use crate::port::store::{StoreError, UnitOfWork};

/// A write that may be repeated.
pub(super) struct Repeatable<'a> {
    pub(super) call: &'a Call,
    pub(super) action: AuditAction,
    /// Absent if the caller's was no id; validation refuses that later.
    pub(super) request_id: Option<RequestId>,
    pub(super) fingerprint: RequestFingerprint,
}

impl Repeatable<'_> {
    fn key(&self, request: RequestId) -> RequestKey {
        RequestKey {
            service: self.call.actor.service.name.clone(),
            user: self.call.actor.user_id().unwrap_or(UserId::nil()),
            method: self.action.as_str().to_owned(),
            request,
        }
    }

    /// The answer that was given before, if it was; another body under the same id is refused.
    pub(super) async fn replay(&self, tx: &mut dyn UnitOfWork) -> Result<Option<StoredAnswer>, Refusal> {
        let Some(request) = self.request_id else {
            return Ok(None);
        };
        match tx.records().answered(&self.key(request)).await? {
            Some(answered) if answered.fingerprint == self.fingerprint => Ok(Some(answered.answer)),
            Some(_) => Err(Refusal::new(Reason::RequestIdReused)),
            None => Ok(None),
        }
    }

    /// Keeps the answer with the work.
    pub(super) async fn keep(
        &self,
        tx: &mut dyn UnitOfWork,
        answer: StoredAnswer,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(request) = self.request_id else {
            return Ok(());
        };
        let answered = AnsweredRequest { key: self.key(request), fingerprint: self.fingerprint, answer, at: now };
        tx.records().keep_answer(&answered).await
    }
}

/// The member that an earlier answer told of, as it is now; absent if that life of the membership ended since.
pub(super) async fn replayed_row(
    tx: &mut dyn UnitOfWork,
    workspace: WorkspaceId,
    user: UserId,
    membership: MembershipId,
) -> Result<Option<MemberRow>, StoreError> {
    let live = tx.memberships().find(workspace, user).await?.filter(|m| m.base().id == membership);
    let (Some(live), Some(user)) = (live, tx.users().find(user).await?) else {
        return Ok(None);
    };
    let (home, relationship) = if let Membership::External(_) = live {
        let home = tx.workspaces().find(&WorkspaceRef::Id(user.home)).await?;
        (home, tx.relationships().find(workspace, user.home).await?)
    } else {
        (None, None)
    };
    Ok(Some(MemberRow { membership: live, user, home, relationship }))
}
