//! Budgets of identity probes: how often somebody may ask what depends on whether a contact of others exists.
//!
//! Probes are counted in counters of the store, by periods of a fixed length. A budget is used by what was counted in the
//! last window: all of the present period, and of the one before the share that still lies in the window.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use super::id::{UserId, WorkspaceId};
use super::time::Timestamp;

/// Whose budget it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BudgetKind {
    /// The acting person's, by the minute.
    User,
    /// The workspace's in which is searched or saved, by the hour.
    Workspace,
    /// The calling service's, by the hour.
    Service,
}

impl BudgetKind {
    /// Every kind, in the order in which they are told.
    pub const ALL: [Self; 3] = [Self::User, Self::Workspace, Self::Service];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Workspace => "workspace",
            Self::Service => "service",
        }
    }

    /// How long a probe counts.
    pub const fn window(self) -> Duration {
        match self {
            Self::User => Duration::from_mins(1),
            Self::Workspace | Self::Service => Duration::from_hours(1),
        }
    }

    /// Over how many counters the probes are spread. One person is one writer; a workspace and a service are many, and on
    /// one counter each would wait for the commit of the one before.
    pub const fn slots(self) -> u16 {
        match self {
            Self::User => 1,
            Self::Workspace | Self::Service => 8,
        }
    }

    /// The number of the period in which an instant lies.
    pub fn period(self, now: Timestamp) -> i64 {
        now.as_micros().div_euclid(micros(self.window()))
    }

    /// How much of the present period is left at an instant, in microseconds; never zero.
    fn left(self, now: Timestamp) -> i64 {
        let window = micros(self.window());
        window - now.as_micros().rem_euclid(window)
    }
}

impl fmt::Display for BudgetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// One budget.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BudgetKey {
    /// Of an acting person.
    User(UserId),
    /// Of a workspace.
    Workspace(WorkspaceId),
    /// Of a calling service, by its name.
    Service(String),
}

impl BudgetKey {
    /// Whose it is.
    pub const fn kind(&self) -> BudgetKind {
        match self {
            Self::User(_) => BudgetKind::User,
            Self::Workspace(_) => BudgetKind::Workspace,
            Self::Service(_) => BudgetKind::Service,
        }
    }

    /// The id or name within its kind.
    pub fn subject(&self) -> String {
        match self {
            Self::User(id) => id.to_string(),
            Self::Workspace(id) => id.to_string(),
            Self::Service(name) => name.clone(),
        }
    }

    /// The counter on which a probe is counted, by an even chance.
    pub fn probes(self, chance: u64) -> Counter {
        let slot = chance % u64::from(self.kind().slots());
        Counter { key: self, slot: i16::try_from(slot).unwrap_or(0) }
    }

    /// The counter of the refusals that this budget caused, so that one of them is recorded in each period.
    pub const fn refusals(self) -> Counter {
        Counter { key: self, slot: Counter::REFUSALS }
    }

    /// The counter of what is refused before anything is asked, so that it is recorded once in each period: of whom, and
    /// why, by a number that is made of both. Those whose numbers meet share a counter, so that nobody who is refused
    /// under ever new names makes more rows in a period than there are counters.
    pub fn turned_away(self, who: u64) -> Counter {
        let place = i16::try_from(who % Counter::OF_TURNED_AWAY).unwrap_or(0);
        Counter { key: self, slot: Counter::REFUSALS - 1 - place }
    }
}

/// A counter of the store. It counts by the periods of its budget's kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Counter {
    /// Of which budget.
    pub key: BudgetKey,
    /// Which of its counters: from 0 on those of probes, [`Counter::REFUSALS`] the one of refusals, below it those of who is
    /// turned away at the door.
    pub slot: i16,
}

impl Counter {
    /// The slot that counts refusals, not probes.
    pub const REFUSALS: i16 = -1;
    /// Over how many counters those who are turned away at the door are spread: the most that one service, or the people
    /// of one home, leave in the record in a period.
    pub const OF_TURNED_AWAY: u64 = 256;
}

/// What a counter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// In which period it was counted last.
    pub period: i64,
    /// How often in that period.
    pub count: u64,
    /// How often in the period before that one.
    pub before: u64,
}

impl Tally {
    /// What a counter holds after one more in a period.
    ///
    /// Clocks of replicas differ a little: who is late counts into the period that another has begun. A counter that is
    /// further ahead was written by a broken clock and starts over, or it would stand still until that instant.
    #[must_use]
    pub fn counted(held: Option<Self>, period: i64) -> Self {
        match held {
            Some(held) if held.period == period || Some(held.period) == period.checked_add(1) => {
                Self { count: held.count.saturating_add(1), ..held }
            }
            Some(held) if held.period.checked_add(1) == Some(period) => Self { period, count: 1, before: held.count },
            _ => Self { period, count: 1, before: 0 },
        }
    }
}

/// How much of a budget is used at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    kind: BudgetKind,
    at: Timestamp,
    current: u64,
    before: u64,
}

impl Usage {
    /// What the counters of one budget's probes say together.
    pub fn of(kind: BudgetKind, tallies: impl IntoIterator<Item = Tally>, at: Timestamp) -> Self {
        let period = kind.period(at);
        let mut usage = Self { kind, at, current: 0, before: 0 };
        for tally in tallies {
            match tally.period.checked_sub(period) {
                Some(0 | 1) => {
                    usage.current = usage.current.saturating_add(tally.count);
                    usage.before = usage.before.saturating_add(tally.before);
                }
                Some(-1) => usage.before = usage.before.saturating_add(tally.count),
                _ => {}
            }
        }
        usage
    }

    /// Whose budget it is.
    pub const fn kind(&self) -> BudgetKind {
        self.kind
    }

    /// How many probes count now, rounded up.
    pub fn used(&self) -> u64 {
        let share = u128::from(self.before) * u128::from(self.kind.left(self.at).unsigned_abs());
        let before = share.div_ceil(self.kind.window().as_micros());
        self.current.saturating_add(u64::try_from(before).unwrap_or(u64::MAX))
    }

    /// How long until one more probe stays within the limit, if none is counted meanwhile; zero if one does now.
    pub fn free_after(&self, limit: NonZeroU32) -> Duration {
        let limit = u64::from(limit.get());
        let left = Duration::from_micros(self.kind.left(self.at).unsigned_abs());
        match limit.checked_sub(self.current.saturating_add(1)) {
            // The period before fades until its share fits beside what was counted in this one.
            Some(room) => left.saturating_sub(self.fits_when_left(self.before, room)),
            // Not in this period: it must fade itself, in the next one.
            None => left + self.kind.window().saturating_sub(self.fits_when_left(self.current, limit - 1)),
        }
    }

    /// How much of a period may be left for `counted` in the one before to count at most `room`.
    fn fits_when_left(&self, counted: u64, room: u64) -> Duration {
        let window = self.kind.window();
        if counted <= room {
            return window;
        }
        let left = window.as_micros() * u128::from(room) / u128::from(counted);
        Duration::from_micros(u64::try_from(left).unwrap_or(u64::MAX))
    }
}

/// How many probes the budgets allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// For an acting person, in a minute.
    pub probes_per_user_minute: NonZeroU32,
    /// In a workspace, in an hour.
    pub probes_per_workspace_hour: NonZeroU32,
    /// By a calling service, in an hour.
    pub probes_per_service_hour: NonZeroU32,
}

impl Budgets {
    /// The same for every kind: for loads of tests, imports and benchmarks.
    pub const fn all(limit: NonZeroU32) -> Self {
        Self { probes_per_user_minute: limit, probes_per_workspace_hour: limit, probes_per_service_hour: limit }
    }

    /// What a budget of the kind allows.
    pub const fn limit(&self, kind: BudgetKind) -> NonZeroU32 {
        match kind {
            BudgetKind::User => self.probes_per_user_minute,
            BudgetKind::Workspace => self.probes_per_workspace_hour,
            BudgetKind::Service => self.probes_per_service_hour,
        }
    }
}

const fn shipped(limit: u32) -> NonZeroU32 {
    match NonZeroU32::new(limit) {
        Some(limit) => limit,
        None => NonZeroU32::MIN,
    }
}

impl Default for Budgets {
    /// As shipped: 20 a minute, 300 and 2,000 an hour.
    fn default() -> Self {
        Self {
            probes_per_user_minute: const { shipped(20) },
            probes_per_workspace_hour: const { shipped(300) },
            probes_per_service_hour: const { shipped(2000) },
        }
    }
}

/// How a budget stands after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetStanding {
    /// Whose it is.
    pub kind: BudgetKind,
    /// What it allows in its window.
    pub limit: NonZeroU32,
    /// How many more probes it allows now.
    pub remaining: u32,
}

impl BudgetStanding {
    /// How a budget stands under a limit; `None` if more is used than it allows.
    pub fn within(usage: &Usage, limit: NonZeroU32) -> Option<Self> {
        let remaining = u64::from(limit.get()).checked_sub(usage.used())?;
        Some(Self { kind: usage.kind, limit, remaining: u32::try_from(remaining).unwrap_or(u32::MAX) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIND: BudgetKind = BudgetKind::User;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000 + second * 1_000_000)
    }

    fn limit(limit: u32) -> NonZeroU32 {
        NonZeroU32::new(limit).unwrap()
    }

    #[test]
    fn the_share_of_the_period_before_fades() {
        let mut tally = None;
        for _ in 0..30 {
            tally = Some(Tally::counted(tally, KIND.period(second(59))));
        }
        let used = |at| Usage::of(KIND, tally, second(at)).used();
        assert_eq!([59, 60, 61, 80, 90, 119, 120, 500].map(used), [30, 30, 30, 20, 15, 1, 0, 0]);
    }

    #[test]
    fn counters_of_one_budget_add_up() {
        let period = KIND.period(second(30));
        let slot = |period, count, before| Tally { period, count, before };
        let slots = [slot(period, 3, 4), slot(period - 1, 6, 100), slot(period - 2, 50, 50), slot(period, 1, 0)];
        assert_eq!(Usage::of(KIND, slots, second(30)).used(), 4 + 5);
    }

    #[test]
    fn a_late_clock_takes_nothing_back_and_a_broken_one_does_not_stop_a_counter() {
        let ahead = Tally { period: 8, count: 5, before: 2 };
        assert_eq!(Tally::counted(Some(ahead), 7), Tally { count: 6, ..ahead });
        assert_eq!(Tally::counted(Some(ahead), 6), Tally { period: 6, count: 1, before: 0 });
        assert_eq!(Tally::counted(Some(Tally { period: i64::MAX, ..ahead }), 6).period, 6);
        assert_eq!(Tally::counted(Some(ahead), i64::MAX), Tally { period: i64::MAX, count: 1, before: 0 });
    }

    #[test]
    fn one_kind_is_not_taken_for_another() {
        let words: std::collections::BTreeSet<&str> = BudgetKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(words.len(), BudgetKind::ALL.len());
        for kind in BudgetKind::ALL {
            assert!(Budgets::default().limit(kind).get() >= 20);
        }
    }

    /// Calls at instants in order, some of them in bursts.
    fn instants() -> impl Strategy<Value = Vec<Timestamp>> {
        proptest::collection::vec(prop_oneof![3 => 0_i64..100_000, 1 => 0_i64..90_000_000], 1..120).prop_map(|steps| {
            let mut at = second(0).as_micros();
            steps
                .into_iter()
                .map(|step| {
                    at += step;
                    Timestamp::from_micros(at)
                })
                .collect()
        })
    }

    proptest! {
        /// Whatever the rhythm, no period lets more pass than the limit, and what is told to wait is told the least pause
        /// after which one more passes.
        #[test]
        fn a_period_keeps_to_the_limit_and_the_pause_is_the_least(calls in instants(), most in 1_u32..30) {
            let most = limit(most);
            let mut tally = None;
            let mut passed = std::collections::BTreeMap::<i64, u32>::new();
            for at in calls {
                tally = Some(Tally::counted(tally, KIND.period(at)));
                let usage = Usage::of(KIND, tally, at);
                if BudgetStanding::within(&usage, most).is_some() {
                    *passed.entry(KIND.period(at)).or_default() += 1;
                }
                let pause = usage.free_after(most);
                let passes = |later: Timestamp| {
                    let one_more = Tally::counted(tally, KIND.period(later));
                    BudgetStanding::within(&Usage::of(KIND, [one_more], later), most).is_some()
                };
                prop_assert!(passes(at.after(pause)), "not after {pause:?}");
                let sooner = pause.checked_sub(Duration::from_micros(1));
                prop_assert!(!sooner.is_some_and(|sooner| passes(at.after(sooner))), "{pause:?} is long");
                prop_assert!(pause <= KIND.window() * 2);
            }
            prop_assert!(passed.values().all(|count| *count <= most.get()), "{passed:?}");
        }

        /// Time alone only frees a budget.
        #[test]
        fn usage_falls_with_time(count in 0_u64..1_000, before in 0_u64..1_000, from in 0_i64..60, step in 0_i64..200) {
            let held = Tally { period: KIND.period(second(0)), count, before };
            let used = |at| Usage::of(KIND, [held], second(at)).used();
            prop_assert!(used(from + step) <= used(from));
            prop_assert!(used(from) <= count + before);
        }

        /// However probes are spread, the counters together say what one would.
        #[test]
        fn slots_say_what_one_counter_would(calls in instants(), chances in proptest::collection::vec(any::<u64>(), 120)) {
            let key = BudgetKey::Service("shop".to_owned());
            let kind = key.kind();
            let mut one = None;
            let mut slots = std::collections::BTreeMap::<i16, Tally>::new();
            for (at, chance) in calls.into_iter().zip(chances) {
                let slot = key.clone().probes(chance).slot;
                prop_assert!((0..8).contains(&slot));
                one = Some(Tally::counted(one, kind.period(at)));
                let counted = Tally::counted(slots.get(&slot).copied(), kind.period(at));
                slots.insert(slot, counted);
                prop_assert_eq!(Usage::of(kind, slots.values().copied(), at), Usage::of(kind, one, at));
            }
        }
    }
}
