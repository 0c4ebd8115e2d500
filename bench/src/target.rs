//! What is called: the methods of the service and the echo, each with the oracle that its answers must satisfy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use domicile_proto::v1::access_service_client::AccessServiceClient;
use domicile_proto::v1::membership_service_client::MembershipServiceClient;
use domicile_proto::v1::user_service_client::UserServiceClient;
use domicile_proto::v1::{self, check_access_request::Subject};
use http::uri::PathAndQuery;
use prost::Message;
use tonic::codegen::http;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::load::{Fault, Target};
use crate::process::{Server, TOKEN};
use crate::world::{Account, Answer, Check, Member, Role, Spread, World, mix};

/// Connections to a server, and what every call carries.
#[derive(Debug, Clone)]
pub struct Wire {
    channels: Arc<Vec<Channel>>,
    authorization: AsciiMetadataValue,
}

fn failed(status: &Status) -> Fault {
    let why = format!("{:?}: {}", status.code(), status.message());
    let details = status.get_error_details();
    let is_full = details.error_info().is_some_and(|info| info.reason == "OVERLOADED");
    if is_full { Fault::TurnedAway(why) } else { Fault::Failed(why) }
}

impl Wire {
    /// Connects so many times.
    ///
    /// # Errors
    /// Nothing answers.
    pub async fn connect(server: &Server, connections: usize) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address()))?;
        let mut channels = Vec::new();
        for _ in 0..connections {
            channels.push(endpoint.connect().await.context("the server takes no connection")?);
        }
        Ok(Self { channels: Arc::new(channels), authorization: format!("Bearer {TOKEN}").parse()? })
    }

    fn channel(&self, connection: usize) -> Result<Channel, Fault> {
        let channel = self.channels.get(connection % self.channels.len().max(1)).cloned();
        channel.ok_or_else(|| Fault::Failed("there is no connection".to_owned()))
    }

    fn request<T>(&self, message: T, acting: Option<Uuid>) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        if let Some(user) = acting.and_then(|user| user.to_string().parse::<AsciiMetadataValue>().ok()) {
            request.metadata_mut().insert("x-domicile-acting-user", user);
        }
        request
    }
}

/// `CheckAccess`.
#[derive(Debug, Clone)]
pub struct CheckTarget {
    wire: Wire,
    checks: Arc<Vec<(v1::CheckAccessRequest, Answer)>>,
}

/// The request of a check.
#[must_use]
pub fn check_request(check: &Check) -> v1::CheckAccessRequest {
    v1::CheckAccessRequest {
        workspace: check.workspace.to_string(),
        subject: Some(Subject::User(check.user.to_string())),
        permission: check.permission.to_owned(),
        consistency: None,
    }
}

/// Whether an answer is the right one.
///
/// # Errors
/// It is not; the sentence tells both.
pub fn judge(answer: &v1::CheckAccessResponse, right: Answer) -> Result<(), Fault> {
    use v1::AccessDecision::{Allowed, Denied};
    let reason = answer.reason().as_str_name().trim_start_matches("DENIAL_REASON_");
    let fits = match right {
        Answer::Allowed => answer.decision() == Allowed && answer.reason() == v1::DenialReason::Unspecified,
        Answer::Denied(word) => answer.decision() == Denied && reason == word,
    };
    if fits {
        return Ok(());
    }
    Err(Fault::Wrong(format!("{} {reason}, and it must be {right:?}", answer.decision().as_str_name())))
}

impl CheckTarget {
    /// Checks of a world, so many different ones.
    #[must_use]
    pub fn new(wire: Wire, world: &World, spread: Spread, different: u64) -> Self {
        Self::of(wire, (0..different).map(|number| world.check(spread, number)))
    }

    /// Checks one after the other.
    #[must_use]
    pub fn of(wire: Wire, checks: impl IntoIterator<Item = Check>) -> Self {
        let checks = checks.into_iter().map(|check| (check_request(&check), check.answer)).collect();
        Self { wire, checks: Arc::new(checks) }
    }

    fn at(&self, number: u64) -> Option<&(v1::CheckAccessRequest, Answer)> {
        let count = u64::try_from(self.checks.len()).unwrap_or(1).max(1);
        self.checks.get(usize::try_from(number % count).unwrap_or(0))
    }

    /// How often each answer is the right one.
    #[must_use]
    pub fn answers(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for (_, answer) in self.checks.iter() {
            let word = match answer {
                Answer::Allowed => "ALLOWED",
                Answer::Denied(word) => word,
            };
            *counts.entry(word).or_default() += 1;
        }
        counts
    }

    /// The bytes of a request on average.
    #[must_use]
    pub fn request_bytes(&self) -> usize {
        self.checks.iter().map(|(request, _)| request.encoded_len()).sum::<usize>() / self.checks.len().max(1)
    }
}

impl Target for CheckTarget {
    async fn call(&self, connection: usize, number: u64) -> Result<usize, Fault> {
        let (request, right) = self.at(number).ok_or_else(|| Fault::Failed("there are no checks".to_owned()))?;
        let mut client = AccessServiceClient::new(self.wire.channel(connection)?);
        let answer = client.check_access(self.wire.request(request.clone(), None)).await;
        let answer = answer.map_err(|status| failed(&status))?.into_inner();
        judge(&answer, *right)?;
        Ok(answer.encoded_len())
    }
}

/// Checks, so many in one call.
#[derive(Debug, Clone)]
pub struct BatchTarget {
    wire: Wire,
    batches: Arc<Vec<(v1::BatchCheckAccessRequest, Vec<Answer>)>>,
}

impl BatchTarget {
    /// The checks of another target in calls of `size`.
    #[must_use]
    pub fn of(wire: Wire, single: &CheckTarget, size: usize) -> Self {
        let batch = |checks: &[(v1::CheckAccessRequest, Answer)]| {
            let entries = checks.iter().map(|(request, _)| question(request)).collect();
            let answers = checks.iter().map(|(_, answer)| *answer).collect();
            (v1::BatchCheckAccessRequest { entries, consistency: None }, answers)
        };
        Self { wire, batches: Arc::new(single.checks.chunks_exact(size).map(batch).collect()) }
    }
}

fn question(request: &v1::CheckAccessRequest) -> v1::AccessQuestion {
    let subject = match &request.subject {
        Some(Subject::User(user)) => Some(v1::access_question::Subject::User(user.clone())),
        _ => None,
    };
    v1::AccessQuestion {
        workspace: request.workspace.clone(),
        subject,
        permission: request.permission.clone(),
        ..v1::AccessQuestion::default()
    }
}

impl Target for BatchTarget {
    async fn call(&self, connection: usize, number: u64) -> Result<usize, Fault> {
        let count = u64::try_from(self.batches.len()).unwrap_or(1).max(1);
        let at = usize::try_from(number % count).unwrap_or(0);
        let (request, right) = self.batches.get(at).ok_or_else(|| Fault::Failed("there are no batches".to_owned()))?;
        let mut client = AccessServiceClient::new(self.wire.channel(connection)?);
        let answer = client.batch_check_access(self.wire.request(request.clone(), None)).await;
        let answer = answer.map_err(|status| failed(&status))?.into_inner();
        if answer.results.len() != right.len() {
            return Err(Fault::Wrong(format!("{} answers of {} questions", answer.results.len(), right.len())));
        }
        for (result, right) in answer.results.iter().zip(right) {
            let alone = v1::CheckAccessResponse {
                decision: result.decision,
                reason: result.reason,
                ..v1::CheckAccessResponse::default()
            };
            judge(&alone, *right)?;
        }
        Ok(answer.encoded_len())
    }
}

/// What the echo is sent.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct EchoRequest {
    #[prost(bytes = "vec", tag = "1")]
    payload: Vec<u8>,
    #[prost(uint32, tag = "2")]
    answer_bytes: u32,
}

/// What the echo answers.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct EchoResponse {
    #[prost(bytes = "vec", tag = "1")]
    payload: Vec<u8>,
}

fn judge_echo(answer: &EchoResponse, bytes: u32) -> Result<(), Fault> {
    let wanted = usize::try_from(bytes).unwrap_or(0);
    if answer.payload.len() == wanted && answer.payload.iter().all(|byte| *byte == 7) {
        return Ok(());
    }
    Err(Fault::Wrong(format!("{} bytes came back, not {wanted} sevens", answer.payload.len())))
}

/// The empty call behind the same layers.
#[derive(Debug, Clone)]
pub struct EchoTarget {
    wire: Wire,
    request: EchoRequest,
}

impl EchoTarget {
    /// An echo whose messages have so many bytes.
    #[must_use]
    pub fn new(wire: Wire, request_bytes: usize, answer_bytes: usize) -> Self {
        // Two bytes frame the payload of either message, and two hold the wish for the answer.
        let payload = vec![7; request_bytes.saturating_sub(4)];
        let answer_bytes = u32::try_from(answer_bytes.saturating_sub(2)).unwrap_or(0);
        Self { wire, request: EchoRequest { payload, answer_bytes } }
    }

    /// The bytes of a request.
    #[must_use]
    pub fn request_bytes(&self) -> usize {
        self.request.encoded_len()
    }
}

impl Target for EchoTarget {
    async fn call(&self, connection: usize, _: u64) -> Result<usize, Fault> {
        let mut grpc = tonic::client::Grpc::new(self.wire.channel(connection)?);
        grpc.ready().await.map_err(|error| Fault::Failed(error.to_string()))?;
        let path = PathAndQuery::from_static("/domicile.bench.v1.EchoService/Echo");
        let codec = ProstCodec::<EchoRequest, EchoResponse>::default();
        let answer = grpc.unary(self.wire.request(self.request.clone(), None), path, codec).await;
        let answer = answer.map_err(|status| failed(&status))?.into_inner();
        judge_echo(&answer, self.request.answer_bytes)?;
        Ok(answer.encoded_len())
    }
}

/// `AssignUser`: each call creates an Internal with one role, in one workspace after the other.
#[derive(Debug, Clone)]
pub struct AssignTarget {
    wire: Wire,
    world: Arc<World>,
}

/// Makes an id of version 7 from the clock and a number, as a client would.
#[must_use]
pub fn fresh_id(number: u64) -> Uuid {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let bits = mix(number ^ 0x5eed);
    let high = u64::try_from(now).unwrap_or(0) << 16 | 0x7000 | bits >> 52;
    Uuid::from_u64_pair(high, 0x8000_0000_0000_0000 | mix(bits) >> 2)
}

impl AssignTarget {
    /// Saves into the workspaces of a world.
    #[must_use]
    pub const fn new(wire: Wire, world: Arc<World>) -> Self {
        Self { wire, world }
    }
}

/// The workspace into which the save of a number goes: one after the other, those that are switched off left out.
#[must_use]
pub fn workspace_of_save(world: &World, number: u64) -> u64 {
    let workspace = number % world.workspaces;
    if world.is_suspended(workspace) { 0 } else { workspace }
}

/// What the answer to a save must tell.
#[derive(Debug)]
struct SaveRight {
    workspace: Uuid,
    role: Uuid,
    manager: Uuid,
    email: String,
}

fn judge_save(answer: &v1::AssignUserResponse, right: &SaveRight) -> Result<(), Fault> {
    let SaveRight { workspace, role, manager, email } = right;
    let fits = answer.outcome() == v1::AssignOutcome::CreatedInternal
        && !answer.consistency_token.is_empty()
        && answer.membership.as_ref().is_some_and(|m| {
            m.kind() == v1::MembershipKind::Internal
                && m.workspace == workspace.to_string()
                && m.email == *email
                && m.roles == [format!("workspaces/{workspace}/roles/{role}")]
                && m.assigned_by == manager.to_string()
        });
    if fits { Ok(()) } else { Err(Fault::Wrong(format!("a save of {email} answered {answer:?}"))) }
}

impl Target for AssignTarget {
    async fn call(&self, connection: usize, number: u64) -> Result<usize, Fault> {
        let workspace = workspace_of_save(&self.world, number);
        let id = self.world.workspace_id(workspace);
        let email = format!("new.person.{number:010}@bench.example");
        let save = v1::AssignUserRequest {
            workspace: id.to_string(),
            request_id: fresh_id(number).to_string(),
            expectation: v1::Expectation::Create.into(),
            email: email.clone(),
            profile: Some(v1::Profile {
                first_name: "New".to_owned(),
                last_name: "Person".to_owned(),
                username: format!("new.person.{number:010}"),
                preferred_language: "en".to_owned(),
            }),
            internal: Some(v1::InternalGrants { roles: vec!["member".to_owned()], permissions: Vec::new() }),
            notify: v1::NotifyMode::None.into(),
            ..v1::AssignUserRequest::default()
        };
        let mut client = MembershipServiceClient::new(self.wire.channel(connection)?);
        let manager = self.world.user_id(workspace);
        let answer = client.assign_user(self.wire.request(save, Some(manager))).await;
        let answer = answer.map_err(|status| failed(&status))?.into_inner();
        let role = self.world.role_id(workspace, Role::Member);
        judge_save(&answer, &SaveRight { workspace: id, role, manager, email })?;
        Ok(answer.encoded_len())
    }
}

/// `LookupUser` by email.
#[derive(Debug, Clone)]
pub struct LookupTarget {
    wire: Wire,
    world: Arc<World>,
}

impl LookupTarget {
    /// Searches among the people of a world.
    #[must_use]
    pub const fn new(wire: Wire, world: Arc<World>) -> Self {
        Self { wire, world }
    }

    /// Searches for an address from a workspace, as its manager, and tells how many bytes the answer had.
    ///
    /// # Errors
    /// The search failed, or had another outcome.
    pub async fn look(
        &self,
        connection: usize,
        workspace: u64,
        email: String,
        right: v1::LookupOutcome,
    ) -> Result<usize, Fault> {
        let search = v1::LookupUserRequest {
            workspace: self.world.workspace_id(workspace).to_string(),
            email,
            phone: String::new(),
        };
        let mut client = UserServiceClient::new(self.wire.channel(connection)?);
        let manager = self.world.user_id(workspace);
        let answer = client.lookup_user(self.wire.request(search, Some(manager))).await;
        let answer = answer.map_err(|status| failed(&status))?.into_inner();
        judge_lookup(&answer, right)?;
        Ok(answer.encoded_len())
    }

    /// Whom the search of a number looks for, and where: a person of elsewhere, of here, or nobody.
    fn search(&self, number: u64) -> (u64, String, v1::LookupOutcome) {
        let world = &self.world;
        let bits = mix(world.seed ^ mix(number));
        let start = bits % world.users;
        let usable = |user: &u64| world.account(*user) == Account::Active && !world.is_suspended(world.home(*user));
        let user = (start..world.users).chain(0..start).find(usable).unwrap_or(0);
        let home = world.home(user);
        match mix(bits) % 5 {
            0 => (home, world.email(user), v1::LookupOutcome::AlreadyMember),
            1 => (home, format!("nobody.{number}@mail.example"), v1::LookupOutcome::NotFound),
            _ => {
                let members = world.memberships(user);
                let foreign = |host: &u64| !world.is_suspended(*host) && members.iter().all(|m| m.workspace != *host);
                let first = mix(bits + 1) % world.workspaces;
                let host = (first..world.workspaces).chain(0..first).find(foreign);
                host.map_or_else(
                    || (home, world.email(user), v1::LookupOutcome::AlreadyMember),
                    |host| (host, world.email(user), v1::LookupOutcome::Found),
                )
            }
        }
    }
}

fn judge_lookup(answer: &v1::LookupUserResponse, right: v1::LookupOutcome) -> Result<(), Fault> {
    if answer.outcome() == right && !answer.match_handle.is_empty() {
        return Ok(());
    }
    Err(Fault::Wrong(format!("a lookup answered {:?}, and it must be {right:?} with a handle", answer.outcome())))
}

impl Target for LookupTarget {
    async fn call(&self, connection: usize, number: u64) -> Result<usize, Fault> {
        let (workspace, email, right) = self.search(number);
        self.look(connection, workspace, email, right).await
    }
}

/// `ListMemberships`: one page of the largest workspace, again and again.
#[derive(Debug, Clone)]
pub struct PageTarget {
    wire: Wire,
    manager: Uuid,
    request: v1::ListMembershipsRequest,
    right: Arc<Vec<String>>,
}

impl PageTarget {
    /// The page that begins after so many of the members of the largest workspace, who are `members`, in order.
    ///
    /// # Errors
    /// The way to the page cannot be walked.
    pub async fn new(wire: Wire, world: &World, members: &[Member], after: usize, size: usize) -> Result<Self> {
        const STEP: usize = 1000;
        let manager = world.user_id(0);
        let mut request = v1::ListMembershipsRequest {
            workspace: world.workspace_id(0).to_string(),
            ..v1::ListMembershipsRequest::default()
        };
        let mut client = MembershipServiceClient::new(wire.channel(0).map_err(|_| anyhow::anyhow!("no connection"))?);
        let mut walked = 0;
        while walked < after {
            let step = STEP.min(after - walked);
            request.page_size = i32::try_from(step)?;
            let page = client.list_memberships(wire.request(request.clone(), Some(manager))).await?.into_inner();
            request.page_token = page.next_page_token;
            walked += step;
        }
        request.page_size = i32::try_from(size)?;
        let right = members.iter().skip(after).take(size).map(|m| world.user_id(m.user).to_string()).collect();
        Ok(Self { wire, manager, request, right: Arc::new(right) })
    }
}

fn judge_page(answer: &v1::ListMembershipsResponse, right: &[String]) -> Result<(), Fault> {
    let users = answer.memberships.iter().map(|m| m.user.as_str());
    if users.eq(right.iter().map(String::as_str)) {
        return Ok(());
    }
    Err(Fault::Wrong("a page held other members than it must".to_owned()))
}

impl Target for PageTarget {
    async fn call(&self, connection: usize, _: u64) -> Result<usize, Fault> {
        let mut client = MembershipServiceClient::new(self.wire.channel(connection)?);
        let answer = client.list_memberships(self.wire.request(self.request.clone(), Some(self.manager))).await;
        let answer = answer.map_err(|status| failed(&status))?.into_inner();
        judge_page(&answer, &self.right)?;
        Ok(answer.encoded_len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(judged: &Result<(), Fault>) -> bool {
        matches!(judged, Err(Fault::Wrong(_)))
    }

    #[test]
    fn a_check_is_right_only_with_decision_and_reason() {
        use v1::{AccessDecision as Decision, DenialReason as Reason};
        let answer = |decision: Decision, reason: Reason| v1::CheckAccessResponse {
            decision: decision.into(),
            reason: reason.into(),
            ..v1::CheckAccessResponse::default()
        };
        let denied = Answer::Denied("NOT_GRANTED");
        judge(&answer(Decision::Allowed, Reason::Unspecified), Answer::Allowed).unwrap();
        judge(&answer(Decision::Denied, Reason::NotGranted), denied).unwrap();
        for (decision, reason, right) in [
            (Decision::Denied, Reason::Unspecified, Answer::Allowed),
            (Decision::Unspecified, Reason::Unspecified, Answer::Allowed),
            (Decision::Allowed, Reason::NotGranted, Answer::Allowed),
            (Decision::Allowed, Reason::NotGranted, denied),
            (Decision::Denied, Reason::NoMembership, denied),
            (Decision::Denied, Reason::Unspecified, denied),
        ] {
            assert!(wrong(&judge(&answer(decision, reason), right)), "{decision:?} {reason:?} for {right:?}");
        }
    }

    #[test]
    fn an_echo_is_right_only_whole() {
        let answer = |payload: &[u8]| EchoResponse { payload: payload.to_vec() };
        judge_echo(&answer(&[7; 3]), 3).unwrap();
        for payload in [&[7, 7][..], &[7; 4], &[7, 8, 7], &[]] {
            assert!(wrong(&judge_echo(&answer(payload), 3)), "{payload:?}");
        }
    }

    #[test]
    fn a_save_with_one_wrong_field_is_wrong() {
        let right = SaveRight {
            workspace: Uuid::from_u128(1),
            role: Uuid::from_u128(2),
            manager: Uuid::from_u128(3),
            email: "new@bench.example".to_owned(),
        };
        let answer = || v1::AssignUserResponse {
            outcome: v1::AssignOutcome::CreatedInternal.into(),
            consistency_token: "token".to_owned(),
            membership: Some(v1::Membership {
                kind: v1::MembershipKind::Internal.into(),
                workspace: right.workspace.to_string(),
                email: right.email.clone(),
                roles: vec![format!("workspaces/{}/roles/{}", right.workspace, right.role)],
                assigned_by: right.manager.to_string(),
                ..v1::Membership::default()
            }),
            ..v1::AssignUserResponse::default()
        };
        judge_save(&answer(), &right).unwrap();
        let membership = |change: fn(&mut v1::Membership)| {
            let mut answer = answer();
            answer.membership.as_mut().map(change).unwrap();
            answer
        };
        for falsified in [
            v1::AssignUserResponse { outcome: v1::AssignOutcome::Unspecified.into(), ..answer() },
            v1::AssignUserResponse { consistency_token: String::new(), ..answer() },
            v1::AssignUserResponse { membership: None, ..answer() },
            membership(|m| m.kind = v1::MembershipKind::External.into()),
            membership(|m| m.workspace = Uuid::from_u128(9).to_string()),
            membership(|m| m.email = "other@bench.example".to_owned()),
            membership(|m| m.roles.push("workspaces/1/roles/9".to_owned())),
            membership(|m| m.roles.clear()),
            membership(|m| m.assigned_by = String::new()),
        ] {
            assert!(wrong(&judge_save(&falsified, &right)), "{falsified:?}");
        }
    }

    #[test]
    fn a_lookup_is_right_only_with_outcome_and_handle() {
        let answer = |outcome: v1::LookupOutcome, handle: &str| v1::LookupUserResponse {
            outcome: outcome.into(),
            match_handle: handle.to_owned(),
            ..v1::LookupUserResponse::default()
        };
        let right = v1::LookupOutcome::Found;
        judge_lookup(&answer(right, "handle"), right).unwrap();
        assert!(wrong(&judge_lookup(&answer(v1::LookupOutcome::NotFound, "handle"), right)));
        assert!(wrong(&judge_lookup(&answer(right, ""), right)));
    }

    #[test]
    fn a_page_is_right_only_with_its_members_in_order() {
        let answer = |users: &[&str]| v1::ListMembershipsResponse {
            memberships: users
                .iter()
                .map(|user| v1::Membership { user: (*user).to_owned(), ..v1::Membership::default() })
                .collect(),
            ..v1::ListMembershipsResponse::default()
        };
        let right = ["a".to_owned(), "b".to_owned()];
        judge_page(&answer(&["a", "b"]), &right).unwrap();
        for users in [&["b", "a"][..], &["a"], &["a", "b", "c"], &["a", "c"], &[]] {
            assert!(wrong(&judge_page(&answer(users), &right)), "{users:?}");
        }
    }
}
