//! What every method answers to wrong values, whoever sends them (R8). The methods, their fields and what can be wrong with
//! them are read from the contract: a new method or a new field is tried without anybody thinking of it, and fails here
//! until its usual value is told and its answers were read.
//!
//! Whoever may call gets the answers of the page `tests/golden/wrong_values.txt`. Whoever may not gets one answer, the same
//! bytes whatever was wrong, and nothing is changed by a refused call.
#![expect(clippy::panic, clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use domicile_domain::model::actor::ServicePrincipal;
use domicile_domain::model::id::{NoticeId, UserId};
use domicile_domain::model::membership::ExternalState;
use domicile_domain::model::permission::Permission;
use domicile_domain::model::relationship::{RelationshipState, Side, WorkspaceRelationship};
use domicile_domain::model::user::{Identity, User, UserState};
use domicile_domain::model::workspace::WorkspaceRef;
use domicile_domain::model::workspace::WorkspaceState;
use domicile_domain::port::directory::Directory;
use domicile_domain::usecase::etag;
use domicile_grpc::method_policy::MethodPolicies;
use domicile_proto::FILE_DESCRIPTOR_SET;
use domicile_proto::v1::{Expectation, MethodPolicy, NotifyMode, ServiceScope};
use domicile_store_seaorm::SeaOrmStore;
use domicile_testkit::authenticator::{OWN_TOKEN, own_identity};
use domicile_testkit::builders;
use domicile_testkit::canary::Canaries;
use domicile_tests::world::{BEGINNING, LIST_OF_ONES_OWN, Watch, World, service, unaudited};
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

/// A name that stands in `borealis` alone; no answer about `acme` may hold it.
const CANARY: &str = "zanzibar";

/// The issuer of the identities that are bound here.
const ISSUER: &str = "https://login.example";

/// Sends and takes messages as they are on the wire.
#[derive(Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Who calls.
#[derive(Clone)]
struct Caller {
    name: &'static str,
    channel: Channel,
    user: Option<UserId>,
}

/// What a field of a request is made of.
struct Values {
    /// A member of `acme`.
    member: UserId,
    /// A message to them.
    notice: NoticeId,
    /// A person of `borealis`, who is nothing in `acme`.
    stranger: UserId,
    /// A message of `borealis`.
    strange_notice: NoticeId,
    /// A role of `borealis`.
    strange_role: String,
    /// A group of `borealis`.
    strange_group: String,
    /// A relationship of `borealis`.
    strange_relationship: WorkspaceRelationship,
    /// The message that holds an update mask.
    field_mask: MessageDescriptor,
    /// Relationships that `acme` was asked for: as the host, and as the home.
    proposed: [WorkspaceRelationship; 2],
    /// Active ones of `acme`: as the host, and as the home.
    active: [WorkspaceRelationship; 2],
    /// The etags of what the other methods change: part of the method's name, and the etag.
    etags: Vec<(&'static str, String)>,
    /// The method that is tried.
    method: std::cell::RefCell<String>,
    /// The field that is tried, by its place in the request.
    tried: std::cell::RefCell<String>,
    /// Counts, so that nothing that is made is there already.
    serial: std::cell::Cell<u128>,
}

impl Values {
    /// The usual value of a field by its place in the request; `None` leaves it out.
    fn usual(&self, path: &str) -> Option<Value> {
        let serial = self.serial.get();
        let text = |text: &str| Some(Value::String(text.to_owned()));
        let list = |text: &str| Some(Value::List(vec![Value::String(text.to_owned())]));
        let name = path.rsplit('.').next().unwrap();
        match (path, name) {
            (_, "workspace") => text("acme"),
            (_, "relationship") => text(&self.relationship().id.to_string()),
            (_, "etag") => text(&self.etag()),
            (_, "role") => text("reader"),
            (_, "group") => text("crew"),
            (_, "users") => list(&self.member.to_string()),
            ("roles", _) if self.tries("SetRoles") => list("member"),
            ("permissions.name", _) => text(&format!("new.word{serial}")),
            (_, "description") => text("Does what it says"),
            (_, "permission") if self.tries("RetirePermission") => text("new.word"),
            (_, "other") => text("unrelated"),
            ("host_terms.ceiling.roles", _) => list("guest"),
            (_, "user") => text(&self.member.to_string()),
            (_, "notification") => text(&self.notice.to_string()),
            (_, "permission") => text("domicile.update"),
            (_, "correlation_id") => text("first"),
            (_, "email") => text(&format!("new{serial}@people.example")),
            (_, "request_id") => text(&uuid::Uuid::from_u128(serial).to_string()),
            (_, "expectation") => Some(Value::EnumNumber(Expectation::Either.into())),
            (_, "notify") => Some(Value::EnumNumber(NotifyMode::Tell.into())),
            (_, "first_name" | "last_name" | "display_name") => text("New"),
            (_, "username" | "handle") => text(&format!("new{serial}")),
            (_, "preferred_language" | "default_language") => text("en"),
            (_, "default_region") => text("HU"),
            (_, "issuer") => text(ISSUER),
            (_, "subject") => text(&format!("subject{serial}")),
            ("internal.roles", _) => list("member"),
            ("external.roles", _) => list("guest"),
            (
                _,
                "phone"
                | "match_handle"
                | "page_size"
                | "page_token"
                | "language"
                | "expire_time"
                | "external_id"
                | "permissions"
                | "roles"
                | "prefix"
                | "show_retired"
                | "force"
                | "for_externals"
                | "notice_languages"
                | "channels"
                | "begin"
                | "accept"
                | "leave"
                | "support_contact"
                | "inbound"
                | "outbound"
                | "visibility_of_externals"
                | "acceptance_as_host"
                | "acceptance_as_home"
                | "external_managers"
                | "side"
                | "states"
                | "directory_visibility"
                | "longest_membership"
                | "acceptance"
                | "disclosure"
                | "allows_host"
                | "minimize_latency"
                | "at_least_as_fresh"
                | "fully_consistent",
            ) => None,
            // Each move is rehearsed, so that the next one meets the same.
            (_, "validate_only") => self.rehearses().then_some(Value::Bool(true)),
            (_, "update_mask") => {
                let paths = vec![Value::String(self.masked())];
                let mut mask = DynamicMessage::new(self.field_mask.clone());
                mask.set_field_by_name("paths", Value::List(paths));
                Some(Value::Message(mask))
            }
            _ => panic!("{path} has no usual value in this test; add one"),
        }
    }

    /// The path of a mask that names the tried field, so that its value is read. What no mask names goes with any.
    fn masked(&self) -> String {
        const UNMASKED: [&str; 10] = [
            "",
            "workspace",
            "request_id",
            "etag",
            "policy.etag",
            "update_mask",
            "validate_only",
            "role",
            "group",
            "relationship",
        ];
        let tried = self.tried.borrow();
        match tried.as_str() {
            // Whole messages are named by a part.
            "host_terms" => "host_terms.ceiling".to_owned(),
            "home_terms" => "home_terms.disclosure".to_owned(),
            "policy" => "inbound".to_owned(),
            "links" => "links.begin".to_owned(),
            unmasked if UNMASKED.contains(&unmasked) && self.tries("Relationship") => "host_terms.ceiling".to_owned(),
            unmasked if UNMASKED.contains(&unmasked) && self.tries("WorkspacePolicy") => {
                "acceptance_as_host".to_owned()
            }
            unmasked if UNMASKED.contains(&unmasked) => "display_name".to_owned(),
            masked => {
                let path = masked.strip_prefix("policy.").unwrap_or(masked);
                // A ceiling is replaced as one.
                let ceiling = path.find("ceiling.").map(|start| start + "ceiling".len());
                ceiling.and_then(|end| path.get(..end)).unwrap_or(path).to_owned()
            }
        }
    }

    fn tries(&self, part: &str) -> bool {
        self.method.borrow().contains(part)
    }

    /// Whether the method is rehearsed: whatever changes what the next request is about.
    fn rehearses(&self) -> bool {
        let changing = ["Relationship", "Group", "UpdateRole", "DeleteRole", "SetRoles", "SetPermissions"];
        changing.iter().chain(&["UpdateWorkspace", "RetirePermission"]).any(|part| self.tries(part))
    }

    /// The etag of what the method changes.
    fn etag(&self) -> String {
        let other = self.etags.iter().find(|(part, _)| self.tries(part));
        other.map_or_else(|| etag(self.relationship().id, self.relationship().version), |(_, etag)| etag.clone())
    }

    /// The relationship that the method is about: one in which the tried field is that of `acme`.
    fn relationship(&self) -> &WorkspaceRelationship {
        let [host, home] =
            if ["Approve", "Decline"].iter().any(|answer| self.tries(answer)) { &self.proposed } else { &self.active };
        if self.tried.borrow().starts_with("home_terms") { home } else { host }
    }

    /// What is not of this workspace, for a field that names something.
    fn foreign(&self, path: &str) -> Option<Value> {
        let text = |text: &str| Some(Value::String(text.to_owned()));
        match path.rsplit('.').next().unwrap() {
            "workspace" => text("borealis"),
            "user" => text(&self.stranger.to_string()),
            "relationship" => text(&self.strange_relationship.id.to_string()),
            "notification" => text(&self.strange_notice.to_string()),
            "role" => text(&self.strange_role),
            "group" => text(&self.strange_group),
            "users" => Some(Value::List(vec![Value::String(self.stranger.to_string())])),
            "roles" => Some(Value::List(vec![Value::String(self.strange_role.clone())])),
            // No service registered it.
            "permission" => text("strange.word"),
            "permissions" => Some(Value::List(vec![Value::String("strange.word".to_owned())])),
            "match_handle" | "page_token" | "at_least_as_fresh" | "etag" => text("0123456789abcdef00000000"),
            _ => None,
        }
    }

    /// What can be wrong with a field: the kind of wrong, and the value; `None` leaves it out.
    fn wrongs(&self, path: &str, field: &FieldDescriptor) -> Vec<(&'static str, Option<Value>)> {
        let text = |text: String| Some(Value::String(text));
        let twice = |value: Value, times: usize| Some(Value::List(vec![value; times]));
        let mut wrongs = match (field.kind(), field.is_list()) {
            (Kind::String, false) => vec![
                ("missing", None),
                ("oversized", text("x".repeat(5000))),
                ("malformed", text("\u{202e}\u{0}<b>'; --".to_owned())),
            ],
            (Kind::String, true) => vec![
                ("missing", None),
                ("oversized", twice(Value::String("x".repeat(10)), 2000)),
                ("malformed", twice(Value::String("\u{202e}<b>".to_owned()), 1)),
            ],
            (Kind::Enum(_), false) => vec![("missing", None), ("malformed", Some(Value::EnumNumber(999)))],
            (Kind::Int32, false) => {
                vec![("negative", Some(Value::I32(-1))), ("oversized", Some(Value::I32(i32::MAX)))]
            }
            (Kind::Bool, false) => vec![],
            (Kind::Enum(_), true) => vec![("malformed", Some(Value::List(vec![Value::EnumNumber(999)])))],
            (Kind::Message(of), false) if of.full_name() == "google.protobuf.Duration" => {
                let mut negative = DynamicMessage::new(of);
                negative.set_field_by_name("seconds", Value::I64(-1));
                vec![("malformed", Some(Value::Message(negative)))]
            }
            (Kind::Message(of), false) if of.full_name() == "google.protobuf.FieldMask" => {
                let mask = |path: &str, times| {
                    let mut mask = DynamicMessage::new(of.clone());
                    mask.set_field_by_name("paths", Value::List(vec![Value::String(path.to_owned()); times]));
                    Some(Value::Message(mask))
                };
                vec![
                    ("missing", None),
                    ("malformed", mask("\u{202e}<b>", 1)),
                    ("oversized", mask("host_terms.nothing", 2000)),
                    ("foreign", mask("home_terms.acceptance", 1)),
                ]
            }
            (Kind::Message(of), false) if of.full_name() == "google.protobuf.Timestamp" => {
                let mut never = DynamicMessage::new(of);
                never.set_field_by_name("seconds", Value::I64(i64::MAX));
                vec![("malformed", Some(Value::Message(never)))]
            }
            (Kind::Message(_), false) => vec![("missing", None)],
            (Kind::Message(of), true) => {
                let one = Value::Message(self.request(&of, &format!("{path}.")));
                vec![("missing", None), ("oversized", twice(one, 101))]
            }
            (kind, list) => panic!("{path}: {kind:?} (list: {list}) is not tried yet"),
        };
        // A message defines something and names nothing.
        let foreign = self.foreign(path).filter(|_| !matches!(field.kind(), Kind::Message(_)));
        wrongs.extend(foreign.map(|value| ("foreign", Some(value))));
        wrongs
    }

    /// A request as it usually is.
    fn request(&self, of: &MessageDescriptor, prefix: &str) -> DynamicMessage {
        let mut message = DynamicMessage::new(of.clone());
        for field in of.fields() {
            let path = format!("{prefix}{}", field.name());
            let value = match inner(&field) {
                // Of several ways to say something the text is the usual one, of several sides the host.
                Some(_) if field.containing_oneof().is_some() && field.name() != "host_terms" => None,
                Some(inner) => {
                    let one = Value::Message(self.request(&inner, &format!("{path}.")));
                    Some(if field.is_list() { Value::List(vec![one]) } else { one })
                }
                None => self.usual(&path),
            };
            if let Some(value) = value {
                message.set_field(&field, value);
            }
        }
        message
    }

    /// Puts a value at the end of a way, or leaves it out. What stands beside it is as it usually is.
    fn put(&self, message: &mut DynamicMessage, way: &[FieldDescriptor], value: Option<Value>) {
        let (field, rest) = way.split_first().unwrap();
        if rest.is_empty() {
            match value {
                Some(value) => message.set_field(field, value),
                None => message.clear_field(field),
            }
            return;
        }
        let mut inner = if field.is_list() {
            message.get_field(field).as_list().unwrap().first().unwrap().as_message().unwrap().clone()
        } else if message.has_field(field) {
            message.get_field(field).as_message().unwrap().clone()
        } else {
            self.request(&inner(field).unwrap(), &format!("{}.", field.name()))
        };
        self.put(&mut inner, rest, value);
        let inner = Value::Message(inner);
        message.set_field(field, if field.is_list() { Value::List(vec![inner]) } else { inner });
    }

    /// Every request with one wrong value: where, what kind of wrong, and the request.
    fn wrong_requests(&self, of: &MessageDescriptor) -> Vec<(String, &'static str, DynamicMessage)> {
        let mut all = Vec::new();
        for (path, fields) in places(of, "", &[]) {
            let field = fields.last().unwrap();
            path.clone_into(&mut self.tried.borrow_mut());
            for (kind, value) in self.wrongs(&path, field) {
                self.serial.set(self.serial.get() + 1);
                let mut request = self.request(of, "");
                self.put(&mut request, &fields, value);
                all.push((path.clone(), kind, request));
            }
        }
        self.tried.borrow_mut().clear();
        all
    }
}

/// The message behind a field that is one of ours.
fn inner(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(of) if of.package_name() == "domicile.v1" => Some(of),
        _ => None,
    }
}

/// Every field of a message and of the messages in it, each with the way to it.
fn places(of: &MessageDescriptor, prefix: &str, way: &[FieldDescriptor]) -> Vec<(String, Vec<FieldDescriptor>)> {
    let mut all = Vec::new();
    for field in of.fields() {
        let path = format!("{prefix}{}", field.name());
        let way = [way, std::slice::from_ref(&field)].concat();
        if let Some(inner) = inner(&field) {
            all.extend(places(&inner, &format!("{path}."), &way));
        }
        all.push((path, way));
    }
    all
}

struct Stage {
    store: Arc<SeaOrmStore>,
    /// Tells whether an answer changed something.
    watch: Watch,
    values: Values,
    policies: MethodPolicies,
    pool: DescriptorPool,
    /// Whoever may call everything.
    own: Caller,
    /// Those who may not.
    others: Vec<Caller>,
}

impl Stage {
    async fn new() -> Self {
        let store = Arc::new(SeaOrmStore::open_memory().await.unwrap());
        let world = World::new(store.clone()).await;
        let manager = [world.acme.access_manager];
        let member = world.person(world.acme, "mirabel", None, UserState::Active).await;
        let stranger = world.person(world.borealis, CANARY, None, UserState::Active).await;
        world.external(stranger, ExternalState::Active, Some(builders::NOW)).await;
        let suspended = world.holder(world.acme, "sigismund", &manager, UserState::Suspended).await;
        let erased: User =
            User { state: UserState::Erased, person: None, ..builders::user(world.acme.workspace, "erased") };
        let gone = erased.id;
        world.put(vec![erased.into()]).await;
        let unrelated = world.place_in("unrelated", WorkspaceState::Active).await;
        let (third, fourth) = (
            world.place_in("third", WorkspaceState::Active).await,
            world.place_in("fourth", WorkspaceState::Active).await,
        );
        let acme = world.acme.workspace;
        let proposed = |host, home, by| WorkspaceRelationship {
            state: RelationshipState::Proposed,
            proposed_by_side: by,
            proposed_at: BEGINNING,
            answered_at: None,
            ..builders::relationship(host, home)
        };
        let proposed = [proposed(acme, third.workspace, Side::Home), proposed(fourth.workspace, acme, Side::Host)];
        let active = [builders::relationship(acme, fourth.workspace), builders::relationship(third.workspace, acme)];
        let strange_relationship = builders::relationship(world.borealis.workspace, unrelated.workspace);
        world.put(proposed.iter().chain(&active).chain([&strange_relationship]).map(Into::into).collect()).await;
        let own_token = own_identity(&world.acme.manager.to_string());
        world.put(vec![(world.acme.manager, own_token).into()]).await;
        let crew = builders::group(world.acme.workspace, "crew");
        let reader = builders::role(world.acme.workspace, "reader");
        let word = Permission { registered_by: "tests".to_owned(), ..builders::permission("new.word") };
        // Their handles would tell of them.
        let strange_role = builders::role(world.borealis.workspace, CANARY);
        let strange_group = builders::group(world.borealis.workspace, CANARY);
        world.put(vec![(&crew).into(), (&reader).into(), word.into()]).await;
        world.put(vec![(&strange_role).into(), (&strange_group).into()]).await;
        let membership = store.member(world.acme.workspace, member).await.unwrap().unwrap().membership;
        let acme = store.workspace(&WorkspaceRef::Id(world.acme.workspace)).await.unwrap().unwrap();
        let etags = vec![
            ("GroupService", etag(crew.id, crew.version)),
            ("RoleService", etag(reader.id, reader.version)),
            ("MembershipService", etag(membership.base().id, membership.base().version)),
            ("WorkspaceService", etag(acme.id, acme.version)),
        ];
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
        let values = Values {
            etags,
            proposed,
            active,
            strange_relationship,
            field_mask: pool.get_message_by_name("google.protobuf.FieldMask").unwrap(),
            method: std::cell::RefCell::default(),
            tried: std::cell::RefCell::default(),
            member,
            notice: world.notice(world.acme, member).await,
            stranger,
            strange_notice: world.notice(world.borealis, stranger).await,
            strange_role: strange_role.id.to_string(),
            strange_group: strange_group.id.to_string(),
            serial: std::cell::Cell::new(1),
        };
        let everything = connect(&world, service(Some(domicile_domain::model::actor::ScopeReach::Everywhere))).await;
        let nothing = connect(&world, service(None)).await;
        let caller = |name, user| Caller { name, channel: nothing.clone(), user };
        let others = vec![
            caller("foreign", Some(world.borealis.manager)),
            caller("nobody", Some(builders::id())),
            caller("suspended", Some(suspended)),
            caller("erased", Some(gone)),
        ];
        let own = Caller { name: "own", channel: everything, user: Some(world.acme.manager) };
        let watch = Watch::begin(store.clone()).await;
        Self { store, watch, values, policies: MethodPolicies::read().unwrap(), pool, own, others }
    }

    /// The request of a method, which is tried from here on.
    fn request_of(&self, path: &str) -> MessageDescriptor {
        path.clone_into(&mut self.values.method.borrow_mut());
        self.input(path)
    }

    fn input(&self, path: &str) -> MessageDescriptor {
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap();
        let service = self.pool.get_service_by_name(service).unwrap();
        service.methods().find(|m| m.name() == method).unwrap().input()
    }

    /// Binds the identity that the next request names.
    async fn bind(&self) {
        let subject = format!("subject{}", self.values.serial.get());
        let identity = Identity { issuer: ISSUER.to_owned(), subject };
        domicile_testkit::seed::seed(&*self.store, &[(self.values.member, identity).into()]).await;
        assert!(!self.watch.is_unchanged().await, "the watch sees a change");
    }

    async fn call(&self, caller: &Caller, path: &str, body: Vec<u8>) -> Result<Bytes, Status> {
        let mut client = tonic::client::Grpc::new(caller.channel.clone());
        client.ready().await.unwrap();
        let mut request = Request::new(Bytes::from(body));
        let metadata = request.metadata_mut();
        metadata.insert("x-request-id", "the-same-for-all".parse().unwrap());
        let policy = self.policies.get(path);
        let own_token = policy.is_some_and(|policy| policy.own_token);
        let for_nobody = policy.is_some_and(|policy| policy.scope() == ServiceScope::PermissionsRegister);
        match caller.user {
            // What a service does in its own name alone, it does for nobody.
            Some(_) if for_nobody && caller.name == "own" => {
                metadata.insert("authorization", "Bearer t".parse().unwrap());
            }
            // What only the person can say, the manager says.
            Some(user) if own_token && caller.name == "own" => {
                metadata.insert("authorization", format!("Bearer {OWN_TOKEN}{user}").parse().unwrap());
            }
            user => {
                metadata.insert("authorization", "Bearer t".parse().unwrap());
                let named = user.map(|user| user.to_string().parse().unwrap());
                named.and_then(|named| metadata.insert("x-domicile-acting-user", named));
            }
        }
        let path = http::uri::PathAndQuery::try_from(path).unwrap();
        Ok(client.unary(request, path, Plain).await?.into_inner())
    }

    /// A refusal has no name and no contact but those that were sent, and no token or key (R17).
    async fn tells_of_nobody(&self, status: &Status, sent: &str, place: &str) {
        let mut canaries = Canaries::default();
        let people = self.store.personal_words().await.unwrap();
        canaries.add(people.into_iter().filter(|word| !sent.contains(word)));
        let said = format!("{} {}", status.message(), String::from_utf8_lossy(status.details()));
        // What a mend gives as an example is nobody's.
        canaries.are_not_in(place, &said.replace("anna@acme.example", ""));
    }

    /// Whether the tried method changes something when it is served.
    fn changes(&self, path: &str) -> bool {
        self.input(path).get_field_by_name("request_id").is_some() && !self.values.rehearses()
    }

    /// The answer in a line, after a proof that it leaks nothing and that it changed nothing, if it is a refusal, a
    /// rehearsal or a read.
    async fn answered(&self, caller: &Caller, path: &str, body: Vec<u8>, of: &str) -> (String, Vec<u8>) {
        let sent = String::from_utf8_lossy(&body).into_owned();
        let answer = self.call(caller, path, body).await;
        let unchanged = self.watch.is_unchanged().await;
        assert!(
            unchanged || answer.is_ok() && self.changes(path),
            "{} {path} {of}: it changed something: {answer:?}",
            caller.name
        );
        let (line, bytes) = match answer {
            Ok(body) => ("OK".to_owned(), body.to_vec()),
            Err(status) => {
                self.tells_of_nobody(&status, &sent, &format!("{} {path} {of}: the refusal", caller.name)).await;
                let told = status.get_error_details();
                let reason = told.error_info().unwrap_or_else(|| panic!("{path} {of}: {status:?}")).reason.clone();
                assert!(status.details().len() <= 4096, "{path} {of}: {} bytes of details", status.details().len());
                let fields: BTreeSet<&str> = told
                    .bad_request()
                    .into_iter()
                    .flat_map(|bad| &bad.field_violations)
                    .map(|v| v.field.as_str())
                    .collect();
                let mut line = format!("{:?} {reason}", status.code());
                for field in fields {
                    write!(line, " {field}").unwrap();
                }
                (line, [status.message().as_bytes(), status.details()].concat())
            }
        };
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "{} {path} {of}: tells of {CANARY}", caller.name);
        (line, bytes)
    }
}

async fn connect(world: &World, service: ServicePrincipal) -> Channel {
    Channel::from_shared(format!("http://{}", world.serve_to(service).await)).unwrap().connect().await.unwrap()
}

/// Whether the caller is somebody there after all: the manager of `borealis` in `borealis`, and in the list of their own.
fn at_home(caller: &Caller, path: &str, (field, kind): (&str, &str)) -> bool {
    caller.name == "foreign" && (path == LIST_OF_ONES_OWN || field == "workspace" && kind == "foreign")
}

/// Whether a service can do with its own scope, so that nobody need act.
fn of_service(policy: &MethodPolicy) -> bool {
    !policy.acting_user && (policy.rights.is_empty() || policy.scope() != ServiceScope::Unspecified)
}

#[tokio::test]
async fn every_wrong_value_is_answered_as_the_page_says() {
    let stage = Stage::new().await;
    let mut page = String::from(
        "# What an AccessManager who may everything in `acme` is answered to one wrong value in a request that is right otherwise:\n\
         # method, field, what is wrong with it -> code, reason, fields that are named.\n\
         # Written by `DOMICILE_WRITE_DOCS=1 cargo test -p domicile-tests --test matrix`; the test compares.\n",
    );
    for (path, _) in stage.policies.iter() {
        let of = stage.request_of(path);
        let method = path.trim_start_matches("/domicile.v1.");
        if path.ends_with("/UnbindIdentity") {
            stage.bind().await;
        }
        let usual = stage.values.request(&of, "").encode_to_vec();
        let (line, _) = stage.answered(&stage.own, path, usual, "usual").await;
        assert_eq!(line, "OK", "{path}: the usual request");
        for (field, kind, request) in stage.values.wrong_requests(&of) {
            let what = format!("{field} {kind}");
            let (line, _) = stage.answered(&stage.own, path, request.encode_to_vec(), &what).await;
            assert!(!line.starts_with("Internal") && !line.starts_with("Unknown"), "{path} {what}: {line}");
            writeln!(page, "{method} {what} -> {line}").unwrap();
        }
        let (line, _) = stage.answered(&stage.own, path, vec![0xff; 16], "not a message").await;
        assert_eq!(line, "InvalidArgument INVALID_REQUEST", "{path}: bytes that are no message");
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/wrong_values.txt");
    if std::env::var_os("DOMICILE_WRITE_DOCS").is_some() {
        std::fs::write(&golden, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(golden).unwrap(), page, "write the page anew and read what changed");
}

#[tokio::test]
async fn whoever_may_not_call_learns_nothing_from_wrong_values() {
    let stage = Stage::new().await;
    let before = unaudited(&stage.store).await;
    let mut told = Vec::new();
    for (path, policy) in stage.policies.iter() {
        let of = stage.request_of(path);
        for caller in &stage.others {
            let mut answers = BTreeSet::new();
            for (field, kind, request) in stage.values.wrong_requests(&of) {
                if at_home(caller, path, (&field, kind)) {
                    continue;
                }
                let what = format!("{field} {kind}");
                let (line, bytes) = stage.answered(caller, path, request.encode_to_vec(), &what).await;
                // What can name no workspace is told to everybody alike, before any right is read; in a list of questions
                // only to whoever may ask some.
                let in_list = policy.scope_field.contains('.');
                if field == policy.scope_field && kind != "foreign" && !policy.own_token && !in_list {
                    let (own, same) = stage.answered(&stage.own, path, request.encode_to_vec(), &what).await;
                    assert_eq!((line, bytes), (own, same), "{} {path} {what}", caller.name);
                    continue;
                }
                let expected = if policy.own_token { "OWN_TOKEN_REQUIRED" } else { "PERMISSION_DENIED" };
                if answers.insert(bytes) && (answers.len() > 1 || line != format!("PermissionDenied {expected}")) {
                    told.push(format!("{} {path} {what} -> {line}", caller.name));
                }
            }
        }
        let without = Caller { user: None, ..stage.others.first().unwrap().clone() };
        let (line, _) =
            stage.answered(&without, path, stage.values.request(&of, "").encode_to_vec(), "nobody acts").await;
        let expected = if of_service(policy) { "PERMISSION_DENIED" } else { "ACTING_USER_REQUIRED" };
        assert_eq!(line, format!("{:?} {expected}", Code::PermissionDenied), "{path} without a person");
    }
    assert!(told.is_empty(), "who may not call learns something:\n{}", told.join("\n"));
    assert_eq!(unaudited(&stage.store).await, before, "the calls together changed something");
}
