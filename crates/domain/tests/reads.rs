//! Reads: each as its viewer may see it, page by page, and at least as fresh as asked.

use domicile_domain::error::Reason;
use domicile_domain::model::actor::{Actor, ScopeReach, ServiceScope};
use domicile_domain::model::id::{RoleId, UserId};
use domicile_domain::model::membership::{AllowedAction, ExternalState};
use domicile_domain::model::notice::{Attempt, AttemptClass, Message, Notice, NoticeKind};
use domicile_domain::model::relationship::{Disclosure, RelationshipState, WorkspaceRelationship};
use domicile_domain::model::user::{Identity, User};
use domicile_domain::model::workspace::WorkspaceRef;
use domicile_domain::port::sealer::{SealPurpose, Sealer};
use domicile_domain::port::store::Store;
use domicile_domain::usecase::{
    Account, Call, Consistency, Domicile, DomicileApi, MemberState, MemberView, NoticeView, PageRequest, UserView,
};
use domicile_testkit::builders::{NOW, external, id, language, minute, notice, relationship, role, user};
use domicile_testkit::sealer::PlainSealer;
use domicile_testkit::seed::PATIENCE;

use crate::support::{PHONE, World, call, reason, save, service, service_call, with_phone, wrong_fields};

const ANY: Consistency = Consistency::MinimizeLatency;

async fn member(world: &World, viewer: &User, of: &User) -> MemberView {
    world.domicile.get_membership(&call(viewer), "acme", &of.id.to_string(), &ANY).await.unwrap()
}

/// What a manager of the host sees of an External: name, email, phone, home.
fn shown(view: &MemberView) -> (Option<&str>, Option<&str>, Option<&str>, bool) {
    (view.display_name.as_deref(), view.email.as_deref(), view.phone.as_deref(), view.home.is_some())
}

/// Somebody from Borealis with a phone, External in Acme.
async fn visitor(world: &World) -> User {
    let mbali = world.account(with_phone(user(world.borealis.id, "mbali"), PHONE)).await;
    world.put(&[external(&mbali, world.acme.id).into()]).await;
    mbali
}

const NAME: Option<&str> = Some("Anna Kovács");
const MASKED: (Option<&str>, Option<&str>, Option<&str>, bool) =
    (NAME, Some("m***@mail.example"), Some("+36*******67"), false);
const WHOLE: (Option<&str>, Option<&str>, Option<&str>, bool) = (NAME, Some("mbali@mail.example"), Some(PHONE), true);

#[tokio::test]
async fn a_host_sees_of_an_external_what_the_home_discloses() {
    for disclosure in Disclosure::ALL {
        let world = World::with(|plan| plan.borealis.policy.disclosure = disclosure).await;
        let mbali = visitor(&world).await;
        let view = member(&world, &world.dana, &mbali).await;
        let expected = match disclosure {
            Disclosure::None => (None, None, None, false),
            Disclosure::Name => (NAME, None, None, false),
            Disclosure::MaskedContact => MASKED,
            Disclosure::Full => WHOLE,
        };
        assert_eq!(shown(&view), expected, "{disclosure:?}");
        assert_eq!((view.initials.as_str(), view.state), ("A. K.", MemberState::Active));
        // The same by the other ways to read it.
        let page =
            world.domicile.list_memberships(&call(&world.dana), "acme", &PageRequest::default(), &ANY).await.unwrap();
        assert!(page.items.contains(&view));
        let read = world.domicile.get_user(&call(&world.dana), "acme", &mbali.id.to_string(), &ANY).await.unwrap();
        assert_eq!(read, UserView::Member(view));
    }
}

/// Without an acting person, where its scope reaches, and there as a manager sees them.
#[tokio::test]
async fn a_service_with_the_scope_reads_members_as_a_manager_does_and_nothing_else() {
    let world = World::new().await;
    let mbali = visitor(&world).await;
    let scoped = |reach| {
        let service = service().with_scope(ServiceScope::MembersRead, reach);
        Call { actor: Actor::service(service), ..service_call() }
    };
    let acme = WorkspaceRef::Id(world.acme.id);
    let (id, one) = (mbali.id.to_string(), PageRequest::default());
    let (api, dana) = (&world.domicile, call(&world.dana));
    let (listed, shown) = (
        api.list_memberships(&dana, "acme", &one, &ANY).await.unwrap(),
        api.get_membership(&dana, "acme", &id, &ANY).await.unwrap(),
    );
    for reach in [ScopeReach::Workspaces([acme].into()), ScopeReach::Everywhere] {
        let call = scoped(reach);
        assert_eq!(api.list_memberships(&call, "acme", &one, &ANY).await.unwrap().items, listed.items);
        assert_eq!(api.get_membership(&call, "acme", &id, &ANY).await.unwrap(), shown);
        let wrong = api.get_membership(&call, "acme", "mbali", &ANY).await.unwrap_err();
        assert_eq!((wrong.reason, wrong.violations[0].field.as_str()), (Reason::InvalidRequest, "user"));
        let nobody = api.get_membership(&call, "acme", &UserId::nil().to_string(), &ANY).await.unwrap_err();
        assert_eq!((nobody.reason, nobody.violations[0].field.as_str()), (Reason::NotFound, "user"));
        let user = api.get_user(&call, "acme", &id, &ANY).await.map(drop).unwrap_err();
        assert_eq!(user.reason, Reason::ActingUserRequired, "profiles are not of the scope");
    }
    let (here, everywhere) =
        (scoped(ScopeReach::Workspaces([WorkspaceRef::Id(world.acme.id)].into())), scoped(ScopeReach::Everywhere));
    let refused = async |call: &Call, place: &str| {
        let listed = reason(api.list_memberships(call, place, &one, &ANY).await);
        assert_eq!(reason(api.get_membership(call, place, &id, &ANY).await), listed);
        listed
    };
    for place in ["borealis", "nowhere"] {
        assert_eq!(refused(&here, place).await, Reason::PermissionDenied, "{place}");
        assert_eq!(refused(&service_call(), place).await, Reason::PermissionDenied, "{place}");
    }
    assert_eq!(refused(&everywhere, "nowhere").await, Reason::NotFound);
    // With a person it is the person who counts.
    let actor = Actor { user: call(&mbali).actor.user, ..everywhere.actor.clone() };
    let named = Call { actor, ..service_call() };
    assert_eq!(reason(api.list_memberships(&named, "acme", &one, &ANY).await), Reason::PermissionDenied);
}

#[tokio::test]
async fn a_relationship_in_force_widens_what_is_disclosed_and_never_narrows_it() {
    type Change = fn(&mut WorkspaceRelationship);
    let none = (None, None, None, false);
    let cases: [(Disclosure, Option<Disclosure>, Change, _); 8] = [
        (Disclosure::None, None, |_| {}, (NAME, None, None, false)),
        (Disclosure::None, Some(Disclosure::MaskedContact), |_| {}, MASKED),
        (Disclosure::None, Some(Disclosure::Full), |_| {}, WHOLE),
        (Disclosure::Full, Some(Disclosure::None), |_| {}, WHOLE),
        (Disclosure::None, Some(Disclosure::Full), |r| r.suspended_by_host = true, none),
        (Disclosure::None, Some(Disclosure::Full), |r| r.suspended_by_home = true, none),
        (Disclosure::None, Some(Disclosure::Full), |r| r.state = RelationshipState::Proposed, none),
        (Disclosure::None, Some(Disclosure::Full), |r| std::mem::swap(&mut r.host, &mut r.home), none),
    ];
    for (number, (own, agreed, change, expected)) in cases.into_iter().enumerate() {
        let world = World::with(|plan| plan.borealis.policy.disclosure = own).await;
        let mut terms = relationship(world.acme.id, world.borealis.id);
        terms.home_terms.disclosure = agreed;
        change(&mut terms);
        world.put(&[terms.into()]).await;
        let mbali = visitor(&world).await;
        assert_eq!(shown(&member(&world, &world.dana, &mbali).await), expected, "{number}");
    }
}

#[tokio::test]
async fn the_home_and_the_person_see_everything() {
    let world = World::new().await;
    let mbali = visitor(&world).await;
    let login = Identity { issuer: "https://login.example".to_owned(), subject: "1".to_owned() };
    world.put(&[(mbali.id, login.clone()).into()]).await;
    let own = member(&world, &mbali, &mbali).await;
    assert_eq!((shown(&own), own.allowed_actions.is_empty()), (WHOLE, true));
    for (viewer, workspace) in [(&mbali, "acme"), (&mbali, "borealis"), (&world.lena, "borealis")] {
        let read = world.domicile.get_user(&call(viewer), workspace, &mbali.id.to_string(), &ANY).await.unwrap();
        assert_eq!(read, UserView::Whole(Account { user: mbali.clone(), identities: vec![login.clone()] }));
    }
    let at_home =
        world.domicile.get_membership(&call(&world.lena), "borealis", &mbali.id.to_string(), &ANY).await.unwrap();
    assert_eq!((shown(&at_home).1, at_home.allowed_actions.contains(&AllowedAction::Deactivate)), (WHOLE.1, true));
    let here = member(&world, &world.dana, &mbali).await;
    assert!(here.allowed_actions.contains(&AllowedAction::Unlink));
}

#[tokio::test]
async fn who_is_asked_reads_the_own_membership_and_nothing_else_of_the_host() {
    let world = World::new().await;
    let asked = world.visitor("asked", |membership| membership.state = ExternalState::Pending).await;
    assert_eq!(member(&world, &asked, &asked).await.state, MemberState::Pending);
    let read = world.domicile.get_workspace(&call(&asked), "acme", &ANY).await;
    assert_eq!(reason(read), Reason::PermissionDenied);
    world.clock.set(minute(60 * 24 * 30));
    assert_eq!(member(&world, &asked, &asked).await.state, MemberState::Over);
}

#[tokio::test]
async fn absent_things_are_told_to_those_who_may_know() {
    let world = World::new().await;
    let plain = world.colleague("plain", &[]).await;
    let nobody = UserId::nil().to_string();
    let of = async |actor: &User, user: &str| world.domicile.get_user(&call(actor), "acme", user, &ANY).await;
    assert_eq!(reason(of(&world.dana, &nobody).await), Reason::NotFound);
    assert_eq!(reason(of(&plain, &nobody).await), Reason::PermissionDenied);
    assert_eq!(reason(of(&plain, "no id").await), Reason::PermissionDenied);
    assert_eq!(wrong_fields(of(&world.dana, "no id").await), ["user".to_owned()].into());
    assert_eq!(world.audit().await[0].action.as_str(), "get_user");
    let mut operator = service_call();
    operator.actor.service.operator = true;
    let read = async |workspace: &str| world.domicile.get_workspace(&operator, workspace, &ANY).await;
    assert_eq!(read("borealis").await.unwrap().id, world.borealis.id);
    assert_eq!(reason(read("nowhere").await), Reason::NotFound);
    assert_eq!(reason(world.domicile.get_workspace(&service_call(), "acme", &ANY).await), Reason::ActingUserRequired);
}

async fn told(world: &World, viewer: &User, workspace: &str, notice: &Notice) -> Result<NoticeView, Reason> {
    let read = world.domicile.get_notification(&call(viewer), workspace, &notice.id.to_string(), &ANY).await;
    read.map_err(|refusal| refusal.reason)
}

/// The host sees state and time, the home the text and the attempts, the person the text.
#[tokio::test]
async fn a_notice_shows_itself_to_host_home_and_person_as_each_may_see_it() {
    let world = World::new().await;
    let mbali = visitor(&world).await;
    let other = world.colleague("other", &[]).await;
    let sent = Notice { kind: NoticeKind::AccessGranted, workspace: world.acme.id, ..notice(&mbali) };
    let text = Message {
        to: "mbali@mail.example".to_owned(),
        from: "Borealis".to_owned(),
        reply_to: None,
        language: language("de"),
        subject: "Welcome".to_owned(),
        text: "You have access".to_owned(),
        html: None,
    };
    let attempt = Attempt { number: 1, at: NOW, class: AttemptClass::Accepted, provider_words: "250 ok".to_owned() };
    world.put(&[(&sent).into()]).await;
    let mut tx = world.store.begin(PATIENCE).await.unwrap();
    tx.notices().keep_message(sent.id, mbali.id, &text).await.unwrap();
    tx.notices().add_attempt(sent.id, &attempt).await.unwrap();
    tx.commit().await.unwrap();

    let view = |message: Option<&Message>, attempts: Option<&Attempt>| {
        let attempts = attempts.map(|attempt| vec![attempt.clone()]);
        Ok(NoticeView { notice: sent.clone(), message: message.cloned(), attempts })
    };
    let by = async |viewer: &User, workspace: &str| told(&world, viewer, workspace, &sent).await;
    assert_eq!(by(&world.dana, "acme").await, view(None, None), "host");
    assert_eq!(by(&world.lena, "borealis").await, view(Some(&text), Some(&attempt)), "home");
    assert_eq!(by(&mbali, "borealis").await, view(Some(&text), None), "person at home");
    assert_eq!(by(&mbali, "acme").await, view(Some(&text), None), "person at the host");
    assert_eq!(by(&other, "acme").await, Err(Reason::PermissionDenied), "another member");
    assert_eq!(by(&world.lena, "acme").await, Err(Reason::PermissionDenied), "a stranger");
    assert_eq!(by(&world.dana, "borealis").await, Err(Reason::PermissionDenied));

    let lists = async |viewer: &User, workspace: &str| {
        let page = world.domicile.list_notifications(&call(viewer), workspace, &PageRequest::default(), &ANY).await;
        page.map(|page| page.items).map_err(|refusal| refusal.reason)
    };
    assert_eq!(lists(&world.dana, "acme").await, Ok(vec![view(None, None).unwrap()]));
    assert_eq!(lists(&world.lena, "borealis").await, Ok(vec![view(Some(&text), Some(&attempt)).unwrap()]));
    assert_eq!(lists(&mbali, "borealis").await, Err(Reason::PermissionDenied));
}

#[tokio::test]
async fn a_notice_between_others_is_not_there() {
    let world = World::new().await;
    let theirs = notice(&world.lena);
    world.put(&[(&theirs).into()]).await;
    assert_eq!(told(&world, &world.dana, "acme", &theirs).await, Err(Reason::NotFound));
    let unreadable = world.domicile.get_notification(&call(&world.dana), "acme", "no id", &ANY).await;
    assert_eq!(wrong_fields(unreadable), ["notification".to_owned()].into());
}

fn page(size: i32, token: &str) -> PageRequest {
    PageRequest { size, token: token.to_owned() }
}

/// Every page of a list in Acme, one after the other.
macro_rules! every_page {
    ($domicile:expr, $list:ident, $call:expr, $first:expr, $row:expr) => {{
        let (mut rows, mut page) = (Vec::new(), $first.clone());
        loop {
            let part = $domicile.$list($call, "acme", &page, &ANY).await.unwrap();
            assert!(part.items.len() <= usize::try_from(page.size).unwrap());
            rows.extend(part.items.iter().map($row));
            if part.next_token.is_empty() {
                break rows;
            }
            page.token = part.next_token;
        }
    }};
}

#[tokio::test]
async fn lists_come_page_by_page_without_a_gap_or_a_repeat() {
    let world = World::new().await;
    for number in 0..6 {
        world.visitor(&format!("visitor{number}"), |_| {}).await;
        world.put(&[role(world.acme.id, &format!("role{number}")).into(), notice(&world.dana).into()]).await;
    }
    let dana = call(&world.dana);
    for size in [1, 3, 4, 7, 100] {
        let all = PageRequest { size, token: String::new() };
        let members = every_page!(world.domicile, list_memberships, &dana, all, |view| view.membership.base().user);
        let roles = every_page!(world.domicile, list_roles, &dana, all, |role| role.handle.to_string());
        let notices = every_page!(world.domicile, list_notifications, &dana, all, |view| view.notice.id);
        assert_eq!((members.len(), roles.len(), notices.len()), (7, 10, 6), "{size}");
        let ordered = members.is_sorted_by(|a, b| a < b) && roles.is_sorted_by(|a, b| a < b);
        assert!(ordered && notices.is_sorted_by(|a, b| a > b), "{size}");
    }
    let refused = world.domicile.list_memberships(&dana, "acme", &page(-1, ""), &ANY).await;
    assert_eq!(wrong_fields(refused), ["page_size".to_owned()].into());
}

#[tokio::test]
async fn a_page_token_serves_its_caller_list_and_workspace_alone() {
    let world = World::new().await;
    let second = world.colleague("second", &crate::support::both_rights()).await;
    let dana = call(&world.dana);
    let token = world.domicile.list_memberships(&dana, "acme", &page(1, ""), &ANY).await.unwrap().next_token;
    assert!(!token.is_empty());
    let list = async |call: &Call, token: &str| {
        let page = world.domicile.list_memberships(call, "acme", &page(1, token), &ANY).await;
        page.map(|_| ()).map_err(|refusal| refusal.reason)
    };
    assert_eq!(list(&dana, &token).await, Ok(()));
    let mut other_service = dana.clone();
    "console".clone_into(&mut other_service.actor.service.name);
    for foreign in [&call(&second), &other_service] {
        assert_eq!(list(foreign, &token).await, Err(Reason::InvalidPageToken));
    }
    world.put(&[role(world.borealis.id, "second").into()]).await;
    let of_roles = world.domicile.list_roles(&dana, "acme", &page(1, ""), &ANY).await.unwrap().next_token;
    let of_borealis =
        world.domicile.list_roles(&call(&world.lena), "borealis", &page(1, ""), &ANY).await.unwrap().next_token;
    let of_other_purpose = PlainSealer.seal(SealPurpose::MatchHandle, b"x").unwrap();
    let unreadable = PlainSealer.seal(SealPurpose::PageToken, format!("x|{}", id::<RoleId>()).as_bytes()).unwrap();
    assert!(!of_roles.is_empty() && !of_borealis.is_empty());
    for foreign in ["forged", &of_roles, &of_borealis, &of_other_purpose, &unreadable] {
        assert_eq!(list(&dana, foreign).await, Err(Reason::InvalidPageToken), "{foreign}");
    }
}

#[tokio::test]
async fn a_read_is_at_least_as_fresh_as_its_token_or_says_that_it_cannot_be() {
    let world = World::new().await;
    let replica = world.replica();
    let token = world.assign(&save("nora")).await.unwrap().consistency_token.unwrap();
    let fresh = Consistency::AtLeastAsFresh(token);
    let forged = Consistency::AtLeastAsFresh("forged".to_owned());
    let mut operator = service_call();
    operator.actor.service.operator = true;
    for call in [call(&world.dana), operator] {
        let read = async |domicile: &Domicile, fresh: &Consistency| {
            let read = domicile.get_workspace(&call, "acme", fresh).await;
            read.map(|workspace| workspace.revision).map_err(|refusal| refusal.reason)
        };
        assert_eq!(read(&world.domicile, &fresh).await, Ok(world.acme.revision.next()));
        assert_eq!(read(&world.domicile, &forged).await, Err(Reason::InvalidConsistencyToken));
        assert_eq!(read(&replica, &fresh).await, Err(Reason::StoreUnavailable));
        assert_eq!(read(&replica, &ANY).await, Ok(world.acme.revision));
    }
}
