//! Questions about access, and their answers.

use domicile_domain::error::Refusal;
use domicile_domain::model::membership::ExternalState;
use domicile_domain::model::user::UserState;
use domicile_domain::model::workspace::WorkspaceState;
use domicile_domain::usecase::{
    AccessAnswer, AccessSubject, BatchEntry, BatchEntryAnswer, CeilingSource, CheckSubject, Denial,
    EffectivePermission, Evidence, Explanation, Gate, GateReport, GrantSource, Remedy, RemedyAction,
};
use domicile_proto::v1;

use super::{identity, member_kind, time, user_state, workspace_state};

words!(denial: Denial => DenialReason {
    Denial::NoMembership => NoMembership,
    Denial::WorkspaceUnavailable => WorkspaceUnavailable,
    Denial::AccountUnavailable => AccountUnavailable,
    Denial::MembershipPending => MembershipPending,
    Denial::MembershipSuspended => MembershipSuspended,
    Denial::MembershipInReview => MembershipInReview,
    Denial::MembershipExpired => MembershipExpired,
    Denial::AboveCeiling => AboveCeiling,
    Denial::NotGranted => NotGranted,
});
words!(gate: Gate => AccessGate {
    Gate::Membership => Membership,
    Gate::Workspace => Workspace,
    Gate::Account => Account,
    Gate::Home => Home,
    Gate::Acceptance => Acceptance,
    Gate::Expiry => Expiry,
    Gate::Suspension => Suspension,
    Gate::Review => Review,
    Gate::Grant => Grant,
    Gate::Ceiling => Ceiling,
    Gate::Catalogue => Catalogue,
    Gate::Policy => Policy,
});
words!(ceiling_source: CeilingSource => CeilingSource {
    CeilingSource::NoAccount => NoAccount,
    CeilingSource::HostClosed => HostClosed,
    CeilingSource::HomeClosed => HomeClosed,
    CeilingSource::Relationship => Relationship,
    CeilingSource::SuspendedByHost => SuspendedByHost,
    CeilingSource::SuspendedByHome => SuspendedByHome,
    CeilingSource::EndedRelationship => EndedRelationship,
    CeilingSource::UnknownHomes => UnknownHomes,
    CeilingSource::Policy => Policy,
});
words!(remedy_action: RemedyAction => RemedyAction {
    RemedyAction::AssignPerson => AssignPerson,
    RemedyAction::ReactivateWorkspace => ReactivateWorkspace,
    RemedyAction::ReactivateAccount => ReactivateAccount,
    RemedyAction::AskHome => AskHome,
    RemedyAction::AcceptMembership => AcceptMembership,
    RemedyAction::ReactivateMembership => ReactivateMembership,
    RemedyAction::ConfirmMembership => ConfirmMembership,
    RemedyAction::GrantRole => GrantRole,
    RemedyAction::WidenCeiling => WidenCeiling,
    RemedyAction::ResumeRelationship => ResumeRelationship,
    RemedyAction::OpenWorkspace => OpenWorkspace,
    RemedyAction::AskService => AskService,
    RemedyAction::AskPolicyOwner => AskPolicyOwner,
    RemedyAction::MarkRole => MarkRole,
    RemedyAction::AllowExternalManagers => AllowExternalManagers,
    RemedyAction::ProposeRelationship => ProposeRelationship,
});

/// A decision in its two words.
pub(crate) const fn decision(decision: Result<(), Denial>) -> (v1::AccessDecision, v1::DenialReason) {
    match decision {
        Ok(()) => (v1::AccessDecision::Allowed, v1::DenialReason::Unspecified),
        Err(reason) => (v1::AccessDecision::Denied, denial(reason)),
    }
}

/// Whom a question is about; each message has the same two forms of its own.
pub(crate) fn subject(user: Option<String>, bound: Option<v1::Identity>) -> CheckSubject {
    match bound {
        Some(bound) => CheckSubject::Identity(identity(Some(bound))),
        None => CheckSubject::User(user.unwrap_or_default()),
    }
}

pub(crate) fn check(answer: AccessAnswer) -> v1::CheckAccessResponse {
    let (decision, reason) = decision(answer.decision);
    v1::CheckAccessResponse {
        decision: decision.into(),
        reason: reason.into(),
        check_time: Some(time(answer.checked_at)),
        valid_until_time: Some(time(answer.valid_until)),
    }
}

pub(crate) fn question(wire: v1::AccessQuestion) -> BatchEntry {
    use v1::access_question::Subject;
    let subject = match wire.subject {
        Some(Subject::Identity(bound)) => subject(None, Some(bound)),
        Some(Subject::User(user)) => subject(Some(user), None),
        None => subject(None, None),
    };
    BatchEntry { correlation_id: wire.correlation_id, workspace: wire.workspace, subject, permission: wire.permission }
}

pub(crate) fn question_result(entry: BatchEntryAnswer) -> v1::AccessQuestionResult {
    let undecided = v1::AccessQuestionResult { correlation_id: entry.correlation_id, ..Default::default() };
    match entry.answer {
        Ok(answer) => {
            let (decision, reason) = decision(answer.decision);
            v1::AccessQuestionResult {
                decision: decision.into(),
                reason: reason.into(),
                valid_until_time: Some(time(answer.valid_until)),
                ..undecided
            }
        }
        Err(refusal) => v1::AccessQuestionResult { error: Some(question_error(refusal)), ..undecided },
    }
}

fn question_error(refusal: Refusal) -> v1::AccessQuestionError {
    let reason = format!("REASON_{}", refusal.reason.as_str());
    let fields = refusal.violations.into_iter().map(|violation| (violation.field, violation.message));
    v1::AccessQuestionError {
        reason: v1::Reason::from_str_name(&reason).unwrap_or_default().into(),
        message: refusal.message,
        fields: fields.collect(),
    }
}

fn source(source: GrantSource) -> v1::GrantSource {
    match source {
        GrantSource::Direct => v1::GrantSource { direct: true, ..Default::default() },
        GrantSource::Role { role, handle, own } => {
            v1::GrantSource { direct: false, role: role.to_string(), role_handle: handle.to_string(), by_group: !own }
        }
    }
}

fn sources(all: Vec<GrantSource>) -> Vec<v1::GrantSource> {
    all.into_iter().map(source).collect()
}

pub(crate) fn effective(permission: EffectivePermission) -> v1::EffectivePermission {
    let (decision, reason) = decision(permission.decision);
    v1::EffectivePermission {
        permission: permission.permission.to_string(),
        decision: decision.into(),
        reason: reason.into(),
        sources: sources(permission.sources),
    }
}

pub(crate) fn access_subject(subject: AccessSubject) -> v1::AccessSubject {
    v1::AccessSubject {
        user: subject.user.to_string(),
        kind: member_kind(subject.kind).into(),
        sources: sources(subject.sources),
        valid_until_time: Some(time(subject.valid_until)),
    }
}

pub(crate) fn explanation(explanation: Explanation) -> v1::ExplainAccessResponse {
    let (decision, reason) = decision(explanation.answer.decision);
    v1::ExplainAccessResponse {
        decision: decision.into(),
        reason: reason.into(),
        gates: explanation.gates.into_iter().map(report).collect(),
        failing_gate: explanation.failing.map_or(v1::AccessGate::Unspecified, gate).into(),
        remedies: explanation.remedies.iter().map(remedy).collect(),
        partial: explanation.partial,
        check_time: Some(time(explanation.answer.checked_at)),
        valid_until_time: Some(time(explanation.answer.valid_until)),
    }
}

fn report(report: GateReport) -> v1::AccessGateReport {
    let (decision, reason) = decision(report.verdict);
    let wire = v1::AccessGateReport {
        gate: gate(report.gate).into(),
        open: decision == v1::AccessDecision::Allowed,
        reason: reason.into(),
        ..Default::default()
    };
    match report.evidence {
        Evidence::Withheld => v1::AccessGateReport { withheld: true, ..wire },
        Evidence::None => wire,
        Evidence::Membership(kind) => {
            let kind = kind.map_or(v1::MembershipKind::Unspecified, member_kind);
            v1::AccessGateReport { kind: kind.into(), ..wire }
        }
        Evidence::Workspace { state, .. } => v1::AccessGateReport { state: workspace_word(state), ..wire },
        Evidence::Account(state) => v1::AccessGateReport { state: account_word(state), ..wire },
        Evidence::External(state) => v1::AccessGateReport { state: external_word(state), ..wire },
        Evidence::Expiry(at) => v1::AccessGateReport { expire_time: at.map(time), ..wire },
        Evidence::Grants(all) => v1::AccessGateReport { sources: sources(all), ..wire },
        Evidence::Ceiling(from) => v1::AccessGateReport { ceiling: ceiling_source(from).into(), ..wire },
        Evidence::Catalogue(at) => v1::AccessGateReport { retire_time: at.map(time), ..wire },
    }
}

/// `WORKSPACE_STATE_ACTIVE` -> `ACTIVE`: the states of three enums stand in one field.
fn workspace_word(state: WorkspaceState) -> String {
    workspace_state(state).as_str_name().trim_start_matches("WORKSPACE_STATE_").to_owned()
}

fn account_word(state: UserState) -> String {
    user_state(state).as_str_name().trim_start_matches("USER_STATE_").to_owned()
}

fn external_word(state: ExternalState) -> String {
    super::member_state(state.into()).as_str_name().trim_start_matches("MEMBERSHIP_STATE_").to_owned()
}

fn remedy(remedy: &Remedy) -> v1::Remedy {
    v1::Remedy {
        action: remedy_action(remedy.action).into(),
        sentence: remedy.action.sentence().to_owned(),
        may_apply: remedy.may_apply,
        role_handles: remedy.roles.iter().map(ToString::to_string).collect(),
    }
}
