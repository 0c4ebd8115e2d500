//! The loop that sends queued messages while the program runs.

use std::sync::Arc;
use std::time::Duration;

use domicile_domain::model::id::NoticeId;
use domicile_domain::model::notice::Notice;
use domicile_domain::usecase::Dispatcher;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle, JoinSet};

/// How many attempts are made at once. One that waits for a slow relay holds up none of the others.
const IN_FLIGHT: usize = 8;
/// How often the store is asked for what is due.
const LOOK_FOR_MESSAGES: Duration = Duration::from_millis(250);
/// How long the loop waits after the store could not be read.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How long attempts may go on once the loop was asked to stop. One that takes longer is made again after its lease.
const GRACE: Duration = Duration::from_secs(5);

/// The running loop.
pub(crate) struct Dispatching {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Dispatching {
    /// Begins to send what is due.
    pub(crate) fn start(dispatcher: Dispatcher) -> Self {
        Self::with_grace(dispatcher, GRACE)
    }

    fn with_grace(dispatcher: Dispatcher, grace: Duration) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, running: tokio::spawn(run(Arc::new(dispatcher), stopped, grace)) }
    }

    /// Makes no new attempts, and returns once those that were on their way came to an end or were given up.
    pub(crate) async fn stop(self) {
        // A loop that is gone already needs no word.
        let _ = self.stop.send(());
        if let Err(error) = self.running.await {
            tracing::error!(error = %error, "the loop that sends messages ended badly");
        }
    }
}

async fn run(dispatcher: Arc<Dispatcher>, mut stopped: oneshot::Receiver<()>, grace: Duration) {
    let mut attempts: JoinSet<()> = JoinSet::new();
    loop {
        let pause = take(&dispatcher, &mut attempts).await;
        tokio::select! {
            // Asked to stop, it takes nothing more, whatever else there is to do.
            biased;
            _ = &mut stopped => break,
            Some(ended) = attempts.join_next() => note(ended),
            () = tokio::time::sleep(pause), if attempts.len() < IN_FLIGHT => {}
        }
    }
    let drained = async {
        while let Some(ended) = attempts.join_next().await {
            note(ended);
        }
    };
    if tokio::time::timeout(grace, drained).await.is_err() {
        tracing::warn!(
            notices = attempts.len(),
            "attempts were given up at the stop; they are made again after their lease"
        );
    }
}

/// Takes as many notices as there are free hands, and returns how long to wait before asking again.
async fn take(dispatcher: &Arc<Dispatcher>, attempts: &mut JoinSet<()>) -> Duration {
    let free = IN_FLIGHT.saturating_sub(attempts.len());
    if free == 0 {
        return LOOK_FOR_MESSAGES;
    }
    match dispatcher.take_due(u32::try_from(free).unwrap_or(u32::MAX)).await {
        Ok(notices) => {
            for notice in notices {
                attempts.spawn(deliver(dispatcher.clone(), notice));
            }
            LOOK_FOR_MESSAGES
        }
        Err(error) => {
            tracing::error!(error = %error, cause = ?error.cause, "queued messages could not be read; trying again");
            STORE_PAUSE
        }
    }
}

async fn deliver(dispatcher: Arc<Dispatcher>, notice: Notice) {
    let id: NoticeId = notice.id;
    match dispatcher.deliver(notice).await {
        Ok(Some(state)) => tracing::info!(notice.id = %id, notice.state = ?state, "a message was dealt with"),
        // Said by the dispatcher.
        Ok(None) => {}
        Err(error) => {
            tracing::error!(notice.id = %id, error = %error, cause = ?error.cause, "a message could not be dealt with; it is due again after its lease");
        }
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = %error, "an attempt broke off; its message is due again after its lease");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use domicile_domain::model::membership::Membership;
    use domicile_domain::model::notice::{Channel, Message, NoticeState};
    use domicile_domain::port::directory::Directory;
    use domicile_domain::port::notifier::{DeliveryError, Handover, NotificationGateway};
    use domicile_domain::usecase::Ports;
    use domicile_testkit::builders::{internal, language, notice, user, workspace};
    use domicile_testkit::ids::SequentialIds;
    use domicile_testkit::languages::PrefixMatcher;
    use domicile_testkit::memory::MemoryStore;
    use domicile_testkit::phones::SimplePhones;
    use domicile_testkit::sealer::PlainSealer;
    use domicile_testkit::seed::{Row, seed};
    use domicile_testkit::writer::PlainWriter;
    use tokio::sync::{Semaphore, mpsc};

    use crate::runtime::SystemClock;

    /// Tells of each message that comes, and answers once it may; some never, some by breaking off.
    struct Gated {
        came: mpsc::UnboundedSender<NoticeId>,
        may_end: Semaphore,
        slow: Mutex<HashSet<NoticeId>>,
        poison: Mutex<HashSet<NoticeId>>,
        at_once: AtomicUsize,
        most: AtomicUsize,
    }

    #[async_trait]
    impl NotificationGateway for Gated {
        fn serves(&self, _channel: Channel) -> bool {
            true
        }

        async fn deliver(&self, id: NoticeId, _: Channel, _: &Message) -> Result<Handover, DeliveryError> {
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            self.came.send(id).unwrap();
            assert!(!self.poison.lock().unwrap().contains(&id), "poison");
            if self.slow.lock().unwrap().contains(&id) {
                std::future::pending::<()>().await;
            }
            self.may_end.acquire().await.unwrap().forget();
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            Ok(Handover::Accepted("250 ok".to_owned()))
        }
    }

    struct World {
        store: Arc<MemoryStore>,
        gateway: Arc<Gated>,
        came: mpsc::UnboundedReceiver<NoticeId>,
        notices: Vec<NoticeId>,
    }

    impl World {
        /// A number of notices that are due.
        async fn of(count: usize) -> Self {
            let store = Arc::new(MemoryStore::new());
            let acme = workspace("acme");
            let anna = user(acme.id, "anna");
            let membership = internal(&anna);
            let mut rows: Vec<Row> = vec![acme.into(), (&anna).into(), Membership::Internal(membership.clone()).into()];
            let notices: Vec<Notice> = std::iter::repeat_with(|| {
                let mut notice = notice(&anna);
                notice.membership = membership.base.id;
                // Written now, by the clock that runs.
                notice.created_at = domicile_domain::port::runtime::Clock::now(&SystemClock);
                notice
            })
            .take(count)
            .collect();
            rows.extend(notices.iter().map(Row::from));
            seed(&*store, &rows).await;
            let (sender, came) = mpsc::unbounded_channel();
            let gateway = Gated {
                came: sender,
                may_end: Semaphore::new(0),
                slow: Mutex::default(),
                poison: Mutex::default(),
                at_once: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
            };
            Self { store, gateway: Arc::new(gateway), came, notices: notices.into_iter().map(|n| n.id).collect() }
        }

        fn start(&self, grace: Duration) -> Dispatching {
            let ports = Ports {
                store: self.store.clone(),
                directory: self.store.clone(),
                clock: Arc::new(SystemClock),
                ids: Arc::new(SequentialIds::new()),
                sealer: Arc::new(PlainSealer),
                phones: Arc::new(SimplePhones),
                languages: Arc::new(PrefixMatcher),
            };
            let writer = Arc::new(PlainWriter);
            Dispatching::with_grace(Dispatcher::new(ports, writer, self.gateway.clone(), language("en")), grace)
        }

        async fn next(&mut self) -> NoticeId {
            self.came.recv().await.unwrap()
        }

        async fn states(&self) -> Vec<NoticeState> {
            let mut states = Vec::new();
            for id in &self.notices {
                states.push(self.store.notice(*id).await.unwrap().unwrap().notice.state);
            }
            states
        }
    }

    #[tokio::test]
    async fn at_most_eight_are_on_their_way_and_a_free_hand_takes_the_next() {
        let mut world = World::of(20).await;
        let dispatching = world.start(GRACE);
        let mut came = HashSet::new();
        for _ in 0..IN_FLIGHT {
            came.insert(world.next().await);
        }
        assert!(world.came.try_recv().is_err(), "no ninth while eight are on their way");
        for _ in IN_FLIGHT..20 {
            world.gateway.may_end.add_permits(1);
            came.insert(world.next().await);
        }
        world.gateway.may_end.add_permits(IN_FLIGHT);
        dispatching.stop().await;
        assert_eq!(came, world.notices.iter().copied().collect());
        assert_eq!(world.gateway.most.load(Ordering::SeqCst), IN_FLIGHT);
        assert_eq!(world.states().await, [NoticeState::HandedOver; 20]);
    }

    #[tokio::test]
    async fn a_slow_notice_and_a_poison_one_delay_nobody() {
        let mut world = World::of(12).await;
        world.gateway.slow.lock().unwrap().insert(world.notices[0]);
        world.gateway.poison.lock().unwrap().insert(world.notices[1]);
        world.gateway.may_end.add_permits(12);
        let dispatching = world.start(Duration::ZERO);
        for _ in 0..12 {
            world.next().await;
        }
        let settled = |states: &[NoticeState]| states.iter().filter(|s| **s == NoticeState::HandedOver).count();
        while settled(&world.states().await) < 10 {
            tokio::task::yield_now().await;
        }
        // The slow one is still on its way, and is given up.
        dispatching.stop().await;
        let states = world.states().await;
        assert_eq!(states[..2], [NoticeState::Queued; 2], "both are due again after their lease");
        assert_eq!(states[2..], [NoticeState::HandedOver; 10]);
    }

    #[tokio::test]
    async fn a_stop_takes_nothing_new_and_lets_what_is_on_its_way_end() {
        let mut world = World::of(9).await;
        let dispatching = world.start(GRACE);
        for _ in 0..IN_FLIGHT {
            world.next().await;
        }
        let stopping = tokio::spawn(dispatching.stop());
        while !stopping.is_finished() {
            world.gateway.may_end.add_permits(1);
            tokio::task::yield_now().await;
        }
        stopping.await.unwrap();
        let states = world.states().await;
        assert_eq!(states.iter().filter(|state| **state == NoticeState::HandedOver).count(), IN_FLIGHT);
        assert_eq!(states.iter().filter(|state| **state == NoticeState::Queued).count(), 1);
    }
}
