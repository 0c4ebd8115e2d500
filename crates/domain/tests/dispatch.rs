//! The dispatcher on the store in memory: every state of a notice, retries, crashes, cancellations, languages.

use std::sync::Arc;
use std::time::Duration;

use domicile_domain::model::contact::Contact;
use domicile_domain::model::id::NoticeId;
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::membership::{EndReason, ExternalMembership, ExternalState, Membership};
use domicile_domain::model::notice::{
    AttemptClass, Channel, LanguageChoice, Message, NotSent, Notice, NoticeKind, NoticeState,
};
use domicile_domain::model::time::Timestamp;
use domicile_domain::model::user::{User, UserState};
use domicile_domain::model::workspace::{Workspace, WorkspaceState};
use domicile_domain::port::directory::{Directory, NoticeRow};
use domicile_domain::port::notifier::{Handover, MessageFacts, MessageWriter, RenderError};
use domicile_domain::port::runtime::{Clock, Ids};
use domicile_domain::port::store::{Leased, MockNoticeRepository, MockStore, MockUnitOfWork, Store, StoreError};
use domicile_domain::usecase::{Dispatcher, Ports};
use domicile_testkit::builders::{self, NOW, email, language, name, person, phone};
use domicile_testkit::clock::FixedClock;
use domicile_testkit::gateway::RecordingGateway;
use domicile_testkit::ids::SequentialIds;
use domicile_testkit::languages::PrefixMatcher;
use domicile_testkit::memory::{Injection, MemoryStore, Moment};
use domicile_testkit::phones::SimplePhones;
use domicile_testkit::sealer::PlainSealer;
use domicile_testkit::seed::{PATIENCE, Row, seed};
use domicile_testkit::writer::PlainWriter;
use uuid::Uuid;

/// The same chance each time: at its greatest a pause is as long as the schedule lets it be.
struct Chance(u64);

impl Ids for Chance {
    fn uuid(&self) -> Uuid {
        SequentialIds::numbered(7)
    }

    fn chance(&self) -> u64 {
        self.0
    }
}

/// Has texts in the languages that it is told, so that every choice can be made.
struct Polyglot(&'static [&'static str]);

impl MessageWriter for Polyglot {
    fn languages(&self) -> Vec<LanguageTag> {
        self.0.iter().map(|tag| language(tag)).collect()
    }

    fn write(&self, tag: &LanguageTag, facts: &MessageFacts) -> Result<Message, RenderError> {
        if !self.languages().contains(tag) {
            let detail = "no text in this language".to_owned();
            return Err(RenderError { language: tag.clone(), kind: facts.kind, detail });
        }
        Ok(Message { language: tag.clone(), ..PlainWriter.write(&language("en"), facts)? })
    }
}

/// A home, a host, a person at home who is a guest of the host, and one notice that says so.
struct World {
    store: Arc<MemoryStore>,
    clock: Arc<FixedClock>,
    gateway: Arc<RecordingGateway>,
    writer: Arc<dyn MessageWriter>,
    chance: u64,
    home: Workspace,
    host: Workspace,
    anna: User,
    guest: ExternalMembership,
    notice: Notice,
}

impl World {
    /// Anna of home has access to host, and is about to be told by mail.
    fn new() -> Self {
        let (mut home, host) = (builders::workspace("home"), builders::workspace("host"));
        home.notices.support_contact = Some(email("help@home.example"));
        let anna = builders::user(home.id, "anna");
        let guest = builders::external(&anna, host.id);
        let mut notice = builders::notice(&anna);
        notice.kind = NoticeKind::AccessGranted;
        notice.workspace = host.id;
        notice.membership = guest.base.id;
        Self {
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(FixedClock::default()),
            gateway: Arc::new(RecordingGateway::new()),
            writer: Arc::new(PlainWriter),
            chance: u64::MAX,
            home,
            host,
            anna,
            guest,
            notice,
        }
    }

    /// The same by text message.
    fn by_text() -> Self {
        let mut world = Self::new();
        person(&mut world.anna).phone = Some(Contact::asserted(phone("+36301234567"), NOW));
        world.notice.channel = Channel::Sms;
        world.notice.retry_until = NOW.after(Notice::patience(Channel::Sms));
        world
    }

    fn rows(&self) -> Vec<Row> {
        vec![
            (&self.home).into(),
            (&self.host).into(),
            (&self.anna).into(),
            self.guest.clone().into(),
            (&self.notice).into(),
        ]
    }

    /// Puts it all into the store.
    async fn seeded(self) -> Self {
        seed(&*self.store, &self.rows()).await;
        self
    }

    fn dispatcher(&self) -> Dispatcher {
        self.dispatcher_on(self.store.clone())
    }

    fn dispatcher_on(&self, store: Arc<dyn Store>) -> Dispatcher {
        let ports = Ports {
            store,
            directory: self.store.clone(),
            clock: self.clock.clone(),
            ids: Arc::new(Chance(self.chance)),
            sealer: Arc::new(PlainSealer),
            phones: Arc::new(SimplePhones),
            languages: Arc::new(PrefixMatcher),
        };
        Dispatcher::new(ports, self.writer.clone(), self.gateway.clone(), language("en"))
    }

    /// Takes what is due and delivers it; how many it were.
    async fn round(&self) -> usize {
        let dispatcher = self.dispatcher();
        let taken = dispatcher.take_due(8).await.unwrap();
        let count = taken.len();
        for notice in taken {
            dispatcher.deliver(notice).await.unwrap();
        }
        count
    }

    async fn row(&self) -> NoticeRow {
        self.store.notice(self.notice.id).await.unwrap().unwrap()
    }

    /// Delivers once; what is in the record then.
    async fn after_one_round(&self) -> NoticeRow {
        assert_eq!(self.round().await, 1);
        self.row().await
    }
}

fn state(row: &NoticeRow) -> (NoticeState, Vec<AttemptClass>) {
    (row.notice.state, row.attempts.iter().map(|attempt| attempt.class).collect())
}

/// The instant before.
fn just_before(instant: Timestamp) -> Timestamp {
    Timestamp::from_micros(instant.as_micros() - 1)
}

#[tokio::test]
async fn a_message_that_was_taken_is_handed_over_and_its_text_lies_apart_from_the_record() {
    let world = World::new().seeded().await;
    assert_eq!(world.row().await.notice.state, NoticeState::Queued);
    let row = world.after_one_round().await;
    assert_eq!(state(&row), (NoticeState::HandedOver, vec![AttemptClass::Accepted]));
    assert_eq!(row.attempts[0].provider_words, "250 ok");
    assert!(row.notice.reason.contains("arrival is unknown"));
    assert_eq!((row.notice.due_at, row.notice.attempts), (None, 1));
    let notice = format!("{:?}", row.notice);
    assert!(!notice.contains("mail.example") && !notice.contains("Anna"), "{notice}");
    let message = row.message.unwrap();
    assert_eq!((&*message.to, &*message.from), ("anna@mail.example", "home"), "in the home's name (T6)");
    assert_eq!(message.reply_to.as_deref(), Some("help@home.example"));
    assert!(message.text.contains("you have access to host"), "{}", message.text);
    let dump = world.store.dump();
    for table in ["audit_records", "personal_values", "events"] {
        assert_eq!(dump.get(table).map_or(0, Vec::len), 0, "sending writes no {table}");
    }
    assert_eq!(world.round().await, 0, "it is over");
}

#[tokio::test]
async fn what_the_development_catcher_keeps_is_not_sent() {
    let world = World::new().seeded().await;
    world.gateway.answer(Ok(Handover::Captured("kept".to_owned())));
    let row = world.after_one_round().await;
    assert_eq!(state(&row), (NoticeState::NotSent(NotSent::Captured), vec![AttemptClass::Captured]));
    assert!(row.notice.reason.contains("set a gateway"));
}

#[tokio::test]
async fn a_refusal_for_good_ends_it_with_the_gateways_reason_and_the_providers_words() {
    let world = World::new().seeded().await;
    world.gateway.fail_for_good("550 5.1.1 nobody");
    let row = world.after_one_round().await;
    assert_eq!(state(&row), (NoticeState::NotDelivered, vec![AttemptClass::Permanent]));
    assert_eq!(row.attempts[0].provider_words, "550 5.1.1 nobody");
    assert_eq!(row.notice.reason, "the mailbox does not exist");
    assert_eq!(world.round().await, 0);
}

#[tokio::test]
async fn our_own_set_up_is_tried_again_and_is_told_from_a_busy_relay() {
    let world = World::new().seeded().await;
    world.gateway.fail_by_set_up("535 no");
    let row = world.after_one_round().await;
    assert_eq!(state(&row), (NoticeState::Retrying, vec![AttemptClass::Misconfigured]));
    assert_eq!(row.notice.reason, "the relay refuses our login");
    world.clock.set(row.notice.due_at.unwrap());
    world.gateway.fail_for_now("451 later");
    let row = world.after_one_round().await;
    assert_eq!(state(&row), (NoticeState::Retrying, vec![AttemptClass::Misconfigured, AttemptClass::Transient]));
    world.clock.set(row.notice.due_at.unwrap());
    let row = world.after_one_round().await;
    assert_eq!(row.notice.state, NoticeState::HandedOver);
    assert_eq!(row.attempts.iter().map(|a| a.number).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_gateway_that_hangs_is_given_up_within_our_deadline() {
    let world = World::new().seeded().await;
    world.gateway.stay_silent();
    let row = world.after_one_round().await;
    assert_eq!(state(&row), (NoticeState::Retrying, vec![AttemptClass::Transient]));
    assert_eq!(world.clock.slept(), [Dispatcher::ATTEMPT]);
    assert!(row.attempts[0].provider_words.contains("no answer within 32 seconds"));
    assert!(Dispatcher::ATTEMPT + Duration::from_secs(10) < Dispatcher::LEASE, "the lease covers attempt and settling");
}

/// Fails every attempt until it is given up; when each was made, in seconds after the notice was written.
async fn failing_until_given_up(world: &World, fail: fn(&RecordingGateway)) -> Vec<u64> {
    let mut made = Vec::new();
    loop {
        made.push(world.clock.now().since(NOW).as_secs());
        assert!(made.len() < 100, "it ends: {made:?}");
        fail(&world.gateway);
        let row = world.after_one_round().await;
        let Some(due) = row.notice.due_at else {
            assert_eq!(row.notice.state, NoticeState::NotDelivered);
            assert!(row.notice.reason.starts_with("given up: the relay"), "{}", row.notice.reason);
            return made;
        };
        assert_eq!(row.notice.state, NoticeState::Retrying);
        world.clock.set(just_before(due));
        assert_eq!(world.round().await, 0, "nothing before its time");
        world.clock.set(due);
    }
}

#[tokio::test]
async fn mail_is_tried_on_its_schedule_and_given_up_after_two_days() {
    let world = World::new().seeded().await;
    let made = failing_until_given_up(&world, |gateway| gateway.fail_for_now("451")).await;
    // Now, 30 s, 2 min, 10 min, 30 min, 2 h, 6 h, 12 h, 24 h after the one before; the last when the patience ends.
    assert_eq!(made, [0, 30, 150, 750, 2_550, 9_750, 31_350, 74_550, 160_950, 172_800]);
}

/// A set-up that is mended on the sixth day loses nobody's message.
#[tokio::test]
async fn what_waits_for_the_operator_waits_for_seven_days() {
    let world = World::new().seeded().await;
    let end = NOW.after(Notice::ABSOLUTE_END);
    let mut made = 0;
    loop {
        world.gateway.fail_by_set_up("535");
        let row = world.after_one_round().await;
        let Some(due) = row.notice.due_at else {
            assert_eq!(row.notice.state, NoticeState::NotDelivered);
            assert!(row.notice.reason.starts_with("given up: seven days"), "{}", row.notice.reason);
            assert_eq!(world.clock.now(), end);
            break;
        };
        assert_eq!((row.notice.state, row.notice.retry_until), (NoticeState::Retrying, end));
        made += 1;
        world.clock.set(due);
    }
    // The first eight by their schedule, and then each day.
    assert_eq!(made, 14);
    let world = World::new().seeded().await;
    world.gateway.fail_by_set_up("535");
    world.after_one_round().await;
    world.clock.set(just_before(end));
    let row = world.after_one_round().await;
    assert_eq!(row.notice.state, NoticeState::HandedOver);
}

#[tokio::test]
async fn a_text_message_is_tried_on_its_schedule_and_given_up_after_an_hour() {
    let world = World::by_text().seeded().await;
    let made = failing_until_given_up(&world, |gateway| gateway.fail_for_now("busy")).await;
    // Now, 15 s, 1 min, 5 min, 15 min after the one before, and again 15 min.
    assert_eq!(made, [0, 15, 75, 375, 1_275, 2_175, 3_075, 3_600]);
}

#[tokio::test]
async fn the_pause_is_anywhere_between_nothing_and_the_schedules() {
    for (chance, pause) in [(0, 0), (u64::MAX / 2, 15), (u64::MAX, 30)] {
        let world = World { chance, ..World::new() }.seeded().await;
        world.gateway.fail_for_now("451");
        let due = world.after_one_round().await.notice.due_at.unwrap();
        let off = due.since(NOW).abs_diff(Duration::from_secs(pause));
        assert!(off < Duration::from_millis(1), "{chance}: {off:?} from {pause} s");
    }
}

#[tokio::test]
async fn what_waited_beyond_its_patience_is_tried_once_and_beyond_seven_days_not_at_all() {
    let world = World::new().seeded().await;
    world.clock.set(NOW.after(Duration::from_hours(72)));
    world.gateway.fail_for_now("451");
    let row = world.after_one_round().await;
    assert_eq!(state(&row), (NoticeState::NotDelivered, vec![AttemptClass::Transient]), "tried late, and given up");

    let world = World::new().seeded().await;
    world.clock.set(NOW.after(Duration::from_hours(72)));
    assert_eq!(world.after_one_round().await.notice.state, NoticeState::HandedOver, "tried late, and taken");

    let world = World::new().seeded().await;
    world.clock.set(NOW.after(Notice::ABSOLUTE_END));
    let row = world.after_one_round().await;
    assert_eq!(state(&row), (NoticeState::NotDelivered, vec![]));
    assert!(world.gateway.handed().is_empty() && row.notice.reason.contains("seven days"));
}

#[tokio::test]
async fn a_text_that_cannot_be_written_is_tried_again_and_sends_nothing() {
    let world = World { writer: Arc::new(Polyglot(&[])), ..World::new() }.seeded().await;
    let row = world.after_one_round().await;
    assert_eq!(state(&row), (NoticeState::Retrying, vec![AttemptClass::Transient]));
    assert!(world.gateway.handed().is_empty() && row.message.is_none());
    assert!(row.notice.reason.contains("could not be written"));
}

#[tokio::test]
async fn a_channel_that_no_gateway_serves_gives_way_to_mail_or_is_held() {
    let mail_alone = || Arc::new(RecordingGateway::serving(&[Channel::Email]));
    let world = World { gateway: mail_alone(), ..World::by_text() }.seeded().await;
    let row = world.after_one_round().await;
    assert_eq!((row.notice.state, row.notice.channel), (NoticeState::HandedOver, Channel::Email));
    assert_eq!(world.gateway.handed()[0].channel, Channel::Email);
    assert_eq!(row.message.unwrap().to, "anna@mail.example");

    let world = World { gateway: mail_alone(), ..World::by_text() }.seeded().await;
    world.gateway.fail_for_now("451");
    let row = world.after_one_round().await;
    let patience = NOW.after(Notice::patience(Channel::Email));
    assert_eq!((row.notice.channel, row.notice.retry_until), (Channel::Email, patience), "with the patience of mail");

    for (served, world) in [(&[][..], World::new()), (&[][..], World::by_text()), (&[Channel::Sms][..], World::new())] {
        let world = World { gateway: Arc::new(RecordingGateway::serving(served)), ..world }.seeded().await;
        let row = world.after_one_round().await;
        assert_eq!(state(&row), (NoticeState::NotSent(NotSent::Held), vec![]));
        assert!(row.notice.reason.contains("set one up"), "{}", row.notice.reason);
        assert!(world.gateway.handed().is_empty() && row.notice.due_at.is_none());
    }
}

#[tokio::test]
async fn a_number_that_went_away_is_no_end_while_there_is_mail() {
    let mut world = World::by_text();
    person(&mut world.anna).phone = None;
    let row = world.seeded().await.after_one_round().await;
    assert_eq!((row.notice.state, row.notice.channel), (NoticeState::HandedOver, Channel::Email));
}

#[tokio::test]
async fn what_mail_refuses_for_good_goes_on_by_the_homes_next_channel() {
    let mut world = World::by_text();
    world.notice.channel = Channel::Email;
    world.notice.retry_until = NOW.after(Notice::patience(Channel::Email));
    let world = world.seeded().await;
    world.gateway.fail_for_good("550 5.1.1 nobody");
    let row = world.after_one_round().await;
    assert_eq!(state(&row), (NoticeState::Retrying, vec![AttemptClass::Permanent]));
    assert_eq!((row.notice.channel, row.notice.due_at), (Channel::Sms, Some(NOW)));
    assert!(row.notice.reason.contains("the mailbox does not exist; now tried by another channel"));
    world.gateway.fail_for_good("landline");
    let row = world.after_one_round().await;
    assert_eq!(row.notice.state, NoticeState::NotDelivered, "it does not go round in circles");
    let handed = world.gateway.handed();
    assert_eq!(handed.iter().map(|h| h.channel).collect::<Vec<_>>(), [Channel::Email, Channel::Sms]);
    assert_eq!(handed[0].id, handed[1].id);
    assert_eq!(handed[1].message.to, "+36301234567");
}

#[tokio::test]
async fn a_home_without_text_messages_in_its_order_never_sends_one() {
    let mut world = World::by_text();
    world.notice.channel = Channel::Email;
    world.home.notices.channels = vec![Channel::Email];
    let world = world.seeded().await;
    world.gateway.fail_for_good("550 5.1.1 nobody");
    assert_eq!(world.after_one_round().await.notice.state, NoticeState::NotDelivered);
}

#[tokio::test]
async fn a_crash_after_the_commit_and_before_the_send_sends_in_the_end() {
    let world = World::new().seeded().await;
    assert_eq!(world.dispatcher().take_due(8).await.unwrap().len(), 1);
    // The program ends here. Nobody else has the notice until its lease is over.
    let over = NOW.after(Dispatcher::LEASE);
    world.clock.set(just_before(over));
    assert_eq!(world.round().await, 0);
    world.clock.set(over);
    assert_eq!(world.after_one_round().await.notice.state, NoticeState::HandedOver);
    assert_eq!(world.gateway.taken().len(), 1);
}

#[tokio::test]
async fn a_crash_after_the_send_and_before_the_mark_sends_again_under_the_same_id() {
    for at in [Moment::Statement, Moment::Commit] {
        let world = World::new().seeded().await;
        let dispatcher = world.dispatcher();
        let notice = dispatcher.take_due(8).await.unwrap().remove(0);
        let error = StoreError::Unavailable("the power went".to_owned());
        world.store.inject(Injection { at, error: error.clone(), times: 1 });
        assert_eq!(dispatcher.deliver(notice).await.unwrap_err().cause, Some(error));
        assert_eq!(world.row().await.notice.state, NoticeState::Queued, "{at:?}");
        world.clock.set(NOW.after(Dispatcher::LEASE));
        let row = world.after_one_round().await;
        assert_eq!(state(&row), (NoticeState::HandedOver, vec![AttemptClass::Accepted]));
        let ids: Vec<NoticeId> = world.gateway.taken().iter().map(|handed| handed.id).collect();
        assert_eq!(ids, [world.notice.id; 2], "a duplicate carries the same id (C14)");
    }
}

#[tokio::test]
async fn a_mark_whose_answer_was_lost_is_not_sent_again() {
    let world = World::new().seeded().await;
    let dispatcher = world.dispatcher();
    let notice = dispatcher.take_due(8).await.unwrap().remove(0);
    let error = StoreError::Unavailable("the answer was lost".to_owned());
    world.store.inject(Injection { at: Moment::Committed, error, times: 1 });
    assert!(dispatcher.deliver(notice).await.is_err());
    world.clock.set(NOW.after(Dispatcher::LEASE));
    assert_eq!(world.round().await, 0);
    assert_eq!((world.row().await.notice.state, world.gateway.taken().len()), (NoticeState::HandedOver, 1));
}

#[tokio::test]
async fn of_two_that_settle_one_notice_the_first_is_kept_and_the_second_is_no_error() {
    let world = World::new().seeded().await;
    let dispatcher = world.dispatcher();
    let slow = dispatcher.take_due(8).await.unwrap().remove(0);
    world.clock.set(NOW.after(Dispatcher::LEASE));
    let fast = dispatcher.take_due(8).await.unwrap().remove(0);
    assert_eq!(dispatcher.deliver(fast).await.unwrap(), Some(NoticeState::HandedOver));
    world.gateway.fail_for_good("550 5.1.1 nobody");
    assert_eq!(dispatcher.deliver(slow).await.unwrap(), None);
    assert_eq!(state(&world.row().await), (NoticeState::HandedOver, vec![AttemptClass::Accepted]));
}

#[tokio::test]
async fn no_more_is_taken_than_asked_for() {
    let world = World::new().seeded().await;
    let more = std::iter::repeat_with(|| Row::from(Notice { id: builders::id(), ..world.notice.clone() })).take(4);
    seed(&*world.store, &more.collect::<Vec<_>>()).await;
    let dispatcher = world.dispatcher();
    for (limit, count) in [(0, 0), (3, 3), (8, 2), (8, 0)] {
        assert_eq!(dispatcher.take_due(limit).await.unwrap().len(), count);
    }
}

/// When the notice comes to be sent, nothing is, for the reason named.
async fn assert_cancelled(world: World, why: &str) {
    let row = world.after_one_round().await;
    assert_eq!(state(&row), (NoticeState::NotSent(NotSent::Cancelled), vec![]), "{why}");
    assert!(row.notice.reason.contains(why), "{why}: {}", row.notice.reason);
    assert!(world.gateway.handed().is_empty() && row.message.is_none() && row.notice.due_at.is_none());
}

#[tokio::test]
async fn nothing_is_sent_once_the_membership_ended() {
    let world = World::new().seeded().await;
    let ended = world.guest.clone().end(EndReason::Unlinked, NOW);
    let mut tx = world.store.begin(PATIENCE).await.unwrap();
    tx.memberships().end(&ended, world.guest.base.version).await.unwrap();
    tx.commit().await.unwrap();
    assert_cancelled(world, "the membership ended").await;

    // A second life of the membership has a notice of its own.
    let mut world = World::new();
    world.notice.membership = builders::id();
    assert_cancelled(world.seeded().await, "the membership ended").await;
}

#[tokio::test]
async fn nothing_is_sent_that_is_not_so_any_more() {
    use ExternalState::{Active, Pending, Review, Suspended};
    for (kind, now, why) in [
        (NoticeKind::AccessGranted, Suspended, "suspended"),
        (NoticeKind::AccessGranted, Review, "under review"),
        (NoticeKind::AccessGranted, Pending, "asked first"),
        (NoticeKind::AccessRequested, Active, "has answered"),
        (NoticeKind::AccessRequested, Suspended, "has answered"),
        (NoticeKind::Onboarding, Active, "elsewhere"),
    ] {
        let mut world = World::new();
        (world.notice.kind, world.guest.state) = (kind, now);
        assert_cancelled(world.seeded().await, why).await;
    }
    let mut world = World::new();
    world.guest.expires_at = Some(NOW);
    assert_cancelled(world.seeded().await, "time was over").await;

    let mut world = World::new();
    (world.notice.kind, world.guest.state) = (NoticeKind::AccessRequested, Pending);
    let row = world.seeded().await.after_one_round().await;
    assert_eq!(row.notice.state, NoticeState::HandedOver, "who is asked is told");
}

#[tokio::test]
async fn nothing_is_sent_to_an_account_or_in_the_name_of_a_workspace_that_is_not_active() {
    for account in [UserState::Suspended, UserState::Deactivated] {
        let mut world = World::new();
        world.anna.state = account;
        assert_cancelled(world.seeded().await, "not active").await;
    }
    let mut world = World::new();
    (world.anna.state, world.anna.person) = (UserState::Erased, None);
    assert_cancelled(world.seeded().await, "erased").await;
    for state in [WorkspaceState::Suspended, WorkspaceState::Closing, WorkspaceState::Closed] {
        let mut world = World::new();
        world.home.state = state;
        assert_cancelled(world.seeded().await, "workspace is not active").await;
        let mut world = World::new();
        world.host.state = state;
        assert_cancelled(world.seeded().await, "workspace is not active").await;
    }
}

/// Membership's language, person's, home's; what the home allows; what is used, and why.
type LanguageCase =
    (Option<&'static str>, &'static str, &'static str, &'static [&'static str], &'static str, LanguageChoice);

#[tokio::test]
async fn one_language_is_chosen_for_the_whole_message() {
    use LanguageChoice::{HomeDefault, InstanceDefault, Membership, Preferred};
    let cases: [LanguageCase; 13] = [
        (Some("de"), "hu", "en", &[], "de", Membership),
        (Some("de-AT"), "hu", "en", &[], "de", Membership),
        (Some("fi"), "hu", "en", &[], "hu", Preferred),
        (None, "hu", "en", &[], "hu", Preferred),
        (None, "pt-BR", "de", &[], "pt", Preferred),
        (None, "fi", "de", &[], "de", HomeDefault),
        (Some("fi"), "sv", "de-CH", &[], "de", HomeDefault),
        (None, "fi", "sv", &[], "en", InstanceDefault),
        // What the home does not allow is not used.
        (None, "hu", "de", &["de", "en"], "de", HomeDefault),
        (Some("hu"), "en", "de", &["de", "en"], "en", Preferred),
        (None, "pt-BR", "en", &["pt-BR"], "pt", Preferred),
        // Nothing that is asked for is allowed: the home's first.
        (None, "hu", "fi", &["pt", "de"], "pt", HomeDefault),
        // A home that allows only what nobody writes is served all the same.
        (None, "hu", "de", &["fi"], "hu", Preferred),
    ];
    for (membership, preferred, home, allowed, used, why) in cases {
        let mut world = World { writer: Arc::new(Polyglot(&["en", "de", "hu", "pt"])), ..World::new() };
        world.guest.language = membership.map(language);
        person(&mut world.anna).preferred_language = language(preferred);
        world.home.default_language = language(home);
        world.home.notices.languages = allowed.iter().map(|tag| language(tag)).collect();
        // The host's languages are of no concern: the home delivers (T6).
        world.host.notices.languages = vec![language("pt")];
        let row = world.seeded().await.after_one_round().await;
        let told = format!("{membership:?} {preferred} {home} {allowed:?}");
        assert_eq!(row.notice.language_used, Some((language(used), why)), "{told}");
        assert_eq!(row.message.unwrap().language, language(used), "{told}");
        assert_eq!(row.notice.language_asked, language("hu"), "what was asked for stays in the record");
    }
}

#[tokio::test]
async fn the_message_names_who_did_it_and_the_roles_that_there_still_are() {
    let mut world = World::new();
    let mut dana = builders::user(world.host.id, "dana");
    person(&mut dana).first_name = name("Dana");
    let mut role = builders::role(world.host.id, "editor");
    role.display_name = name("Chief editor");
    world.notice.actor = Some(dana.id);
    world.notice.roles = vec![role.id, builders::id()];
    let world = world.seeded().await;
    seed(&*world.store, &[(&dana).into(), (&role).into()]).await;
    let text = world.after_one_round().await.message.unwrap().text;
    assert!(text.contains("Dana Kovács") && text.contains("Chief editor"), "{text}");

    let mut world = World::new();
    world.notice.actor = Some(builders::id());
    let row = world.seeded().await.after_one_round().await;
    assert_eq!(row.notice.state, NoticeState::HandedOver, "who is gone is not named");
}

#[tokio::test]
async fn an_internal_is_welcomed_at_home() {
    let mut world = World::new();
    let internal = builders::internal(&world.anna);
    (world.notice.kind, world.notice.workspace) = (NoticeKind::Onboarding, world.home.id);
    world.notice.membership = internal.base.id;
    let world = world.seeded().await;
    seed(&*world.store, &[Membership::Internal(internal).into()]).await;
    let row = world.after_one_round().await;
    assert_eq!(row.notice.state, NoticeState::HandedOver);
    assert!(row.message.unwrap().text.contains("welcome to home"));
}

/// Its lease is kept: it must not stand before the others at every look.
#[tokio::test]
async fn a_notice_that_cannot_be_read_keeps_its_lease_and_holds_up_no_other() {
    let world = World::new();
    let (whole, broken) = (world.notice.clone(), builders::notice(&world.anna).id);
    for notices in [vec![], vec![whole]] {
        let corrupt = StoreError::Contention;
        let leased = Leased { notices: notices.clone(), unreadable: vec![(broken, corrupt)] };
        let mut store = MockStore::new();
        store.expect_begin().times(1).returning(move |_| {
            let leased = leased.clone();
            let mut tx = MockUnitOfWork::new();
            tx.expect_notices().returning(move || {
                let leased = leased.clone();
                let mut repository = MockNoticeRepository::new();
                repository.expect_lease_due().returning(move |_, _, _| Ok(leased.clone()));
                Box::new(repository)
            });
            tx.expect_commit().times(1).returning(|| Ok(()));
            Ok(Box::new(tx))
        });
        let taken = world.dispatcher_on(Arc::new(store)).take_due(8).await.unwrap();
        assert_eq!(taken, notices);
    }
}
