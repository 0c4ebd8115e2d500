//! The people, workspaces and memberships of a run, computed from a seed and never stored here; and the oracle, which knows
//! what every check must answer. Nothing in this file uses code of the product, so that the two cannot be wrong together.
//!
//! How the figures of the data are read: every user has one Internal membership, in a home drawn by Zipf(1.1). 15 % of the
//! users are visitors, with 8.75 External memberships each on average, in hosts drawn by the same law, so that there are 2.3
//! memberships a user. 15 % of the checks about members are about External ones.

use uuid::Uuid;

/// Share of users who visit other workspaces, in percent.
const VISITORS: u64 = 15;
/// 2024-01-01T00:00:00Z in milliseconds: when the first user was created.
const BEGINNING_MS: u64 = 1_704_067_200_000;
/// Time from one user to the next, in milliseconds.
const STEP_MS: u64 = 100;
/// The exponent of the law by which workspaces are drawn.
const ZIPF: f64 = 1.1;
/// Hosts and homes below this place have relationships with each other.
const RELATED: u64 = 20;
/// Users below this place have an identity at an issuer of tokens.
const IDENTITIES: u64 = 20_000;

const FIRST_NAMES: [&str; 16] = [
    "Anna", "Bela", "Chen", "Dana", "Emre", "Fatima", "Goran", "Hana", "Ivan", "Jonas", "Kofi", "Lena", "Mbali",
    "Nora", "Omar", "Priya",
];
const LAST_NAMES: [&str; 16] = [
    "Berg",
    "Costa",
    "Diaz",
    "Eriksen",
    "Fischer",
    "Gupta",
    "Horvath",
    "Ito",
    "Jansen",
    "Keller",
    "Kovacs",
    "Lindqvist",
    "Moreau",
    "Okafor",
    "Reyes",
    "Tanaka",
];

/// What is drawn from the seed; a word each, so that draws do not depend on each other.
#[derive(Clone, Copy)]
enum Draw {
    Home = 1,
    UserState,
    Visits,
    Host,
    VisitState,
    VisitRole,
    InternalRole,
    DirectPermission,
    Id,
    Check,
    Name,
}

/// One step of splitmix64: 64 well-mixed bits of a number.
#[must_use]
pub const fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Draws places by Zipf's law: the first is the most frequent.
#[derive(Debug, Clone)]
pub struct Zipf(Vec<f64>);

impl Zipf {
    /// The law over `places` places.
    #[must_use]
    pub fn new(places: u64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=u32::try_from(places).unwrap_or(u32::MAX)).map(|place| {
            sum += f64::from(place).powf(-ZIPF);
            sum
        });
        let mut sums: Vec<f64> = weights.collect();
        let total = sums.last().copied().unwrap_or(1.0);
        for sum in &mut sums {
            *sum /= total;
        }
        Self(sums)
    }

    /// The place that 64 random bits draw.
    #[must_use]
    pub fn place(&self, bits: u64) -> u64 {
        let share = f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / 4_294_967_296.0;
        let place = self.0.partition_point(|sum| *sum <= share).min(self.0.len().saturating_sub(1));
        u64::try_from(place).unwrap_or(0)
    }
}

/// The state of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// Usable.
    Active,
    /// Switched off by the home.
    Suspended,
    /// Left; it visits nobody.
    Deactivated,
}

/// The state of an External membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// In use.
    Active,
    /// Switched off by the host.
    Suspended,
    /// Waits for a proof of contact.
    Review,
    /// Waits for the person.
    Pending,
    /// Active, but its time is over.
    Expired,
}

/// The roles that every workspace of the data has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Built in, with both governance rights.
    AccessManager,
    /// Built in, without permissions.
    Member,
    /// Built in, for Externals, without permissions.
    Guest,
    /// `orders.read` and `orders.write`, for Internals.
    Editor,
    /// `orders.read`, for Externals.
    Visitor,
}

impl Role {
    /// Every role, in the order of their ids.
    pub const ALL: [Self; 5] = [Self::AccessManager, Self::Member, Self::Guest, Self::Editor, Self::Visitor];

    /// The handle.
    #[must_use]
    pub const fn handle(self) -> &'static str {
        match self {
            Self::AccessManager => "access-manager",
            Self::Member => "member",
            Self::Guest => "guest",
            Self::Editor => "editor",
            Self::Visitor => "visitor",
        }
    }

    /// What it grants.
    #[must_use]
    pub const fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::AccessManager => &["domicile.create", "domicile.update"],
            Self::Member | Self::Guest => &[],
            Self::Editor => &["orders.read", "orders.write"],
            Self::Visitor => &["orders.read"],
        }
    }

    /// Whether it may stand in a ceiling.
    #[must_use]
    pub const fn for_externals(self) -> bool {
        matches!(self, Self::Guest | Self::Visitor)
    }
}

/// The product permissions of the data, beside the two of governance.
pub const PERMISSIONS: [&str; 3] = ["orders.read", "orders.write", "reports.export"];

/// A membership of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The user's place.
    pub user: u64,
    /// The workspace's place.
    pub workspace: u64,
    /// Its number among the memberships of the user; 0 is the Internal one.
    pub number: u64,
    /// The state of an External; absent for the Internal.
    pub visit: Option<Visit>,
    /// The one role.
    pub role: Role,
    /// Whether `reports.export` is granted directly.
    pub may_export: bool,
}

/// What a check must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Allowed,
    /// No, with the word of the contract.
    Denied(&'static str),
}

/// A check of access, with the answer that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The workspace's id.
    pub workspace: Uuid,
    /// The user's id.
    pub user: Uuid,
    /// The permission's name.
    pub permission: &'static str,
    /// The right answer.
    pub answer: Answer,
}

/// How checks are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Over all users, so that large workspaces come often.
    Everywhere,
    /// Over this many members, again and again.
    Warm(u64),
    /// Nine of ten on the largest workspace.
    OneWorkspace,
}

/// The data of a run.
#[derive(Debug, Clone)]
pub struct World {
    /// How many users there are.
    pub users: u64,
    /// How many workspaces.
    pub workspaces: u64,
    /// From which everything is drawn.
    pub seed: u64,
    zipf: Zipf,
}

impl World {
    /// The data of a size and a seed: a workspace for every hundred users, at least 25.
    #[must_use]
    pub fn new(users: u64, seed: u64) -> Self {
        let workspaces = (users / 100).max(25).min(users.max(1));
        Self { users, workspaces, seed, zipf: Zipf::new(workspaces) }
    }

    const fn draw(&self, what: Draw, one: u64, other: u64) -> u64 {
        mix(mix(mix(self.seed ^ what as u64).wrapping_add(one)).wrapping_add(other))
    }

    fn id(&self, kind: u64, one: u64, other: u64, ms: u64) -> Uuid {
        let bits = self.draw(Draw::Id, kind << 56 | one, other);
        let high = ms << 16 | 0x7000 | bits >> 52;
        let low = 0x8000_0000_0000_0000 | (mix(bits) >> 2);
        Uuid::from_u64_pair(high, low)
    }

    /// When a user was created, in microseconds.
    #[must_use]
    pub fn created_at(&self, user: u64) -> i64 {
        i64::try_from((BEGINNING_MS + user * STEP_MS) * 1000).unwrap_or(i64::MAX)
    }

    /// The id of a workspace.
    #[must_use]
    pub fn workspace_id(&self, workspace: u64) -> Uuid {
        self.id(1, workspace, 0, BEGINNING_MS - 1)
    }

    /// The id of a role of a workspace.
    #[must_use]
    pub fn role_id(&self, workspace: u64, role: Role) -> Uuid {
        self.id(2, workspace, role as u64, BEGINNING_MS - 1)
    }

    /// The id of a user; ids grow with the places.
    #[must_use]
    pub fn user_id(&self, user: u64) -> Uuid {
        self.id(3, user, 0, BEGINNING_MS + user * STEP_MS)
    }

    /// The id of a membership.
    #[must_use]
    pub fn membership_id(&self, user: u64, number: u64) -> Uuid {
        self.id(4, user, number, BEGINNING_MS + user * STEP_MS + number)
    }

    /// The id of a relationship.
    #[must_use]
    pub fn relationship_id(&self, host: u64, home: u64) -> Uuid {
        self.id(5, host, home, BEGINNING_MS - 1)
    }

    /// The home of a user. The first users are the managers of the workspaces.
    #[must_use]
    pub fn home(&self, user: u64) -> u64 {
        if user < self.workspaces { user } else { self.zipf.place(self.draw(Draw::Home, user, 0)) }
    }

    /// The state of a user's account. Managers are active.
    #[must_use]
    pub fn account(&self, user: u64) -> Account {
        match self.draw(Draw::UserState, user, 0) % 100 {
            0 if user >= self.workspaces => Account::Suspended,
            1 if user >= self.workspaces => Account::Deactivated,
            _ => Account::Active,
        }
    }

    /// First and last name of a user.
    #[must_use]
    pub fn names(&self, user: u64) -> (&'static str, &'static str) {
        let bits = self.draw(Draw::Name, user, 0);
        let of = |names: &[&'static str; 16], bits: u64| {
            usize::try_from(bits % 16).ok().and_then(|place| names.get(place).copied()).unwrap_or("Anna")
        };
        (of(&FIRST_NAMES, bits), of(&LAST_NAMES, bits >> 8))
    }

    /// The username of a user.
    #[must_use]
    pub fn username(&self, user: u64) -> String {
        let (first, last) = self.names(user);
        format!("{}.{}.{user}", first.to_lowercase(), last.to_lowercase())
    }

    /// The email of a user, which is its own key.
    #[must_use]
    pub fn email(&self, user: u64) -> String {
        format!("{}@mail{}.example", self.username(user), user % 7)
    }

    /// The subject of a user's identity, for those who have one.
    #[must_use]
    pub fn identity(&self, user: u64) -> Option<(&'static str, String)> {
        (user < self.users.min(IDENTITIES)).then(|| ("https://id.example", format!("subject-{user:08}")))
    }

    /// How many users have an identity.
    #[must_use]
    pub fn identities(&self) -> u64 {
        self.users.min(IDENTITIES)
    }

    /// Whether a workspace is switched off.
    #[must_use]
    pub const fn is_suspended(&self, workspace: u64) -> bool {
        workspace % 61 == 60
    }

    /// Whether a host has a relationship with a home, and whether the host suspended it.
    #[must_use]
    pub fn relationship(&self, host: u64, home: u64) -> Option<bool> {
        let related = host != home && host < RELATED.min(self.workspaces) && home < RELATED.min(self.workspaces);
        related.then_some((host + home).is_multiple_of(7))
    }

    /// Every relationship, as host and home.
    pub fn relationships(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        (0..RELATED)
            .flat_map(|host| (0..RELATED).map(move |home| (host, home)))
            .filter(|(host, home)| self.relationship(*host, *home).is_some())
    }

    /// The roles that a host leaves to Externals of homes that it does not know.
    #[must_use]
    pub const fn default_ceiling(&self, host: u64) -> &'static [Role] {
        if host.is_multiple_of(5) { &[Role::Guest, Role::Visitor] } else { &[Role::Guest] }
    }

    /// The memberships of a user, the Internal one first.
    #[must_use]
    pub fn memberships(&self, user: u64) -> Vec<Member> {
        let home = self.home(user);
        let role = match self.draw(Draw::InternalRole, user, 0) % 10 {
            _ if user < self.workspaces => Role::AccessManager,
            0..=5 => Role::Editor,
            _ => Role::Member,
        };
        let may_export = self.draw(Draw::DirectPermission, user, 0).is_multiple_of(20);
        let mut members = vec![Member { user, workspace: home, number: 0, visit: None, role, may_export }];
        let bits = self.draw(Draw::Visits, user, 0);
        // The managers have the lowest ids: were they visitors, first pages would hold few others.
        if user < self.workspaces || bits % 100 >= VISITORS || self.account(user) == Account::Deactivated {
            return members;
        }
        let wanted = 1 + (bits >> 8) % 16 + u64::from((bits >> 16).is_multiple_of(4));
        let mut tries = 0;
        while u64::try_from(members.len()).unwrap_or(u64::MAX) <= wanted && tries < 200 {
            let host = self.zipf.place(self.draw(Draw::Host, user, tries));
            tries += 1;
            if members.iter().all(|member| member.workspace != host) {
                let number = u64::try_from(members.len()).unwrap_or(u64::MAX);
                members.push(self.visit(user, host, number));
            }
        }
        members
    }

    fn visit(&self, user: u64, workspace: u64, number: u64) -> Member {
        let visit = match self.draw(Draw::VisitState, user, number) % 100 {
            0..=2 => Visit::Suspended,
            3 | 4 => Visit::Review,
            5 => Visit::Pending,
            6 | 7 => Visit::Expired,
            _ => Visit::Active,
        };
        let role = if self.draw(Draw::VisitRole, user, number) % 10 < 7 { Role::Visitor } else { Role::Guest };
        Member { user, workspace, number, visit: Some(visit), role, may_export: false }
    }

    /// What a check of a user in a workspace must answer.
    #[must_use]
    pub fn answer(&self, workspace: u64, user: u64, permission: &str) -> Answer {
        let Some(member) = self.memberships(user).into_iter().find(|m| m.workspace == workspace) else {
            return Answer::Denied("NO_MEMBERSHIP");
        };
        if self.is_suspended(workspace) {
            return Answer::Denied("WORKSPACE_UNAVAILABLE");
        }
        let home = self.home(user);
        if self.account(user) != Account::Active || self.is_suspended(home) {
            return Answer::Denied("ACCOUNT_UNAVAILABLE");
        }
        match member.visit {
            Some(Visit::Pending) => return Answer::Denied("MEMBERSHIP_PENDING"),
            Some(Visit::Expired) => return Answer::Denied("MEMBERSHIP_EXPIRED"),
            Some(Visit::Suspended) => return Answer::Denied("MEMBERSHIP_SUSPENDED"),
            Some(Visit::Review) => return Answer::Denied("MEMBERSHIP_IN_REVIEW"),
            Some(Visit::Active) | None => {}
        }
        let by_role = member.role.permissions().contains(&permission);
        let directly = member.may_export && permission == "reports.export";
        if !by_role && !directly {
            return Answer::Denied("NOT_GRANTED");
        }
        if member.visit.is_some() && !self.ceiling(workspace, home).contains(&member.role) {
            return Answer::Denied("ABOVE_CEILING");
        }
        Answer::Allowed
    }

    /// The roles that Externals of a home may have in a host.
    fn ceiling(&self, host: u64, home: u64) -> &'static [Role] {
        match self.relationship(host, home) {
            Some(true) => &[],
            Some(false) => &[Role::Guest, Role::Visitor],
            None => self.default_ceiling(host),
        }
    }

    /// The check of a number: the same for the same seed. One in ten is about somebody who is no member; of the others, 15 %
    /// are about an External membership.
    #[must_use]
    pub fn check(&self, spread: Spread, number: u64) -> Check {
        let drawn = match spread {
            Spread::Warm(members) => mix(number) % members.max(1),
            Spread::Everywhere | Spread::OneWorkspace => number,
        };
        let bits = self.draw(Draw::Check, drawn, 0);
        let mut user = bits % self.users;
        let mut workspace = match mix(bits) % 100 {
            0..=9 => self.zipf.place(mix(bits + 1)),
            10..=23 => {
                // The next visitor from here; a fifth of a visit's worth of users at most away.
                let visitor = (user..self.users).chain(0..user).find(|u| self.memberships(*u).len() > 1);
                user = visitor.unwrap_or(user);
                let members = self.memberships(user);
                let visits = u64::try_from(members.len()).unwrap_or(1).saturating_sub(1).max(1);
                let place = usize::try_from(1 + (bits >> 40) % visits).unwrap_or(0);
                members.get(place).map_or_else(|| self.home(user), |m| m.workspace)
            }
            _ => self.home(user),
        };
        if spread == Spread::OneWorkspace && !mix(bits + 2).is_multiple_of(10) {
            workspace = 0;
            user = (user..self.users).chain(0..user).find(|u| self.home(*u) == 0).unwrap_or(user);
        }
        let permission = match (bits >> 20) % 10 {
            0..=5 => "orders.read",
            6..=8 => "orders.write",
            _ => "reports.export",
        };
        Check {
            workspace: self.workspace_id(workspace),
            user: self.user_id(user),
            permission,
            answer: self.answer(workspace, user, permission),
        }
    }

    /// The checks of [`Spread::OneWorkspace`], up to `count`, with those on the largest workspace moved to workspaces that are
    /// drawn evenly: to an Internal member there about whom the same question has the same answer.
    #[must_use]
    pub fn even_checks(&self, count: u64) -> Vec<Check> {
        let mut people = vec![Vec::new(); usize::try_from(self.workspaces).unwrap_or(0)];
        for user in 0..self.users {
            if let Some(people) = usize::try_from(self.home(user)).ok().and_then(|home| people.get_mut(home)) {
                people.push(user);
            }
        }
        let largest = self.workspace_id(0);
        let moved = |number: u64| {
            let check = self.check(Spread::OneWorkspace, number);
            if check.workspace != largest {
                return check;
            }
            let bits = mix(self.draw(Draw::Check, number, 1));
            let first = bits % self.workspaces;
            let mut places = (first..self.workspaces).chain(0..first).filter(|place| !self.is_suspended(*place));
            let found = places.find_map(|workspace| {
                let people = people.get(usize::try_from(workspace).ok()?)?;
                let start = usize::try_from(mix(bits)).unwrap_or(0) % people.len().max(1);
                let mut around = people.iter().cycle().skip(start).take(people.len());
                around
                    .find(|user| self.answer(workspace, **user, check.permission) == check.answer)
                    .map(|user| (workspace, *user))
            });
            found.map_or(check.clone(), |(workspace, user)| Check {
                workspace: self.workspace_id(workspace),
                user: self.user_id(user),
                ..check
            })
        };
        (0..count).map(moved).collect()
    }

    /// The members of a workspace in the order of their ids, which is that of their places.
    #[must_use]
    pub fn members_of(&self, workspace: u64) -> Vec<Member> {
        (0..self.users)
            .filter_map(|user| self.memberships(user).into_iter().find(|m| m.workspace == workspace))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_another_does_not() {
        let checks = |seed| (0..200).map(|n| World::new(5_000, seed).check(Spread::Everywhere, n)).collect::<Vec<_>>();
        assert_eq!(checks(1), checks(1));
        assert_ne!(checks(1), checks(2));
    }

    #[test]
    fn the_figures_of_the_data_are_those_that_were_asked_for() {
        let world = World::new(20_000, 7);
        let all: Vec<Vec<Member>> = (0..world.users).map(|u| world.memberships(u)).collect();
        let count: usize = all.iter().map(Vec::len).sum();
        let visitors = all.iter().filter(|members| members.len() > 1).count();
        assert!((44_500..=47_500).contains(&count), "{count} memberships");
        assert!((2_700..=3_250).contains(&visitors), "{visitors} visitors");
        assert!(
            all.iter().enumerate().all(|(user, m)| m[0].visit.is_none() && m[0].workspace == world.home(user as u64))
        );
        assert!(all[..200].iter().all(|members| members.len() == 1), "a manager visits");
        let largest = world.members_of(0).len();
        assert!(largest > count / 12, "Zipf's first is large: {largest}");
    }

    #[test]
    fn checks_meet_every_answer_and_the_share_of_externals() {
        let world = World::new(20_000, 7);
        let mut words = std::collections::BTreeMap::new();
        for number in 0..20_000 {
            *words.entry(format!("{:?}", world.check(Spread::Everywhere, number).answer)).or_insert(0) += 1;
        }
        assert_eq!(words.len(), 10, "{words:?}");
        assert!((2_000..14_000).contains(&words["Allowed"]), "{words:?}");
    }

    #[test]
    fn even_checks_have_the_answers_of_the_hot_ones_on_all_workspaces_alike() {
        let world = World::new(20_000, 7);
        let (even, hot) = (world.even_checks(4_000), (0..4_000).map(|n| world.check(Spread::OneWorkspace, n)));
        let places: std::collections::BTreeMap<Uuid, u64> =
            (0..world.workspaces).map(|place| (world.workspace_id(place), place)).collect();
        let users: std::collections::BTreeMap<Uuid, u64> = (0..world.users).map(|u| (world.user_id(u), u)).collect();
        let mut counts = vec![0; 200];
        for (even, hot) in even.iter().zip(hot) {
            let place = places[&even.workspace];
            assert_eq!(world.answer(place, users[&even.user], even.permission), even.answer);
            assert_eq!((even.permission, even.answer), (hot.permission, hot.answer));
            counts[usize::try_from(place).unwrap()] += 1;
        }
        let usable = counts.iter().filter(|count| **count > 0).count();
        let most = counts.iter().max().unwrap();
        assert!(usable >= 195 && *most < 200, "{usable} workspaces, {most} checks on the one with most: {counts:?}");
    }

    #[test]
    fn ids_are_of_version_7_and_grow() {
        let world = World::new(1_000, 1);
        let ids: Vec<Uuid> = (0..1_000).map(|u| world.user_id(u)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122));
    }
}
