//! Users, contacts, identities.

use domicile_domain::model::contact::{Contact, ContactKey, ContactKind, ContactOwner, ContactStanding};
use domicile_domain::model::time::Version;
use domicile_domain::model::user::{Identity, UserState};
use domicile_domain::port::store::{Constraint, StoreError};

use super::{Harness, begin, exclude, good, put, refused};
use crate::builders::{NOW, email, id, minute, person, phone, user, workspace};

/// Every field of a user, in every state, with and without a phone, is read as it was written.
pub async fn every_field_and_state_comes_back(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, founder) = (workspace("acme"), workspace("founder"));
    put(&*subject, &[(&acme).into(), (&founder).into()]).await;
    for (place, state) in (0_u32..).zip(UserState::ALL) {
        let mut anna = user(acme.id, &format!("Anna{place}"));
        anna.created_in = founder.id;
        anna.state = state;
        anna.updated_at = minute(5);
        anna.version = Version::from_stored(9);
        if place.is_multiple_of(2) {
            person(&mut anna).phone = Some(Contact {
                value: phone(&format!("+3630123456{place}")),
                standing: ContactStanding::Verified,
                since: minute(3),
                version: Version::from_stored(4),
            });
        }
        person(&mut anna).email.standing = ContactStanding::Verified;
        if state == UserState::Erased {
            anna.person = None;
        }
        put(&*subject, &[(&anna).into()]).await;
        let mut tx = begin(&*subject).await;
        assert_eq!(good(tx.users().find(anna.id).await).as_ref(), Some(&anna));
        good(tx.rollback().await);
        assert_eq!(good(subject.directory().user(anna.id).await), Some(anna));
    }
    assert_eq!(good(subject.directory().user(id()).await), None);
}

/// A contact key leads to its user with standing and version; another kind with the same text does not.
pub async fn contacts_have_owners(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let acme = workspace("acme");
    let mut anna = user(acme.id, "anna");
    person(&mut anna).email.value = email("Anna@Mail.example");
    let number = Contact {
        value: phone("+36301234567"),
        standing: ContactStanding::Verified,
        since: NOW,
        version: Version::from_stored(3),
    };
    person(&mut anna).phone = Some(number.clone());
    put(&*subject, &[(&acme).into(), (&anna).into()]).await;
    let mut tx = begin(&*subject).await;
    let asserted = ContactOwner::User { user: anna.id, standing: ContactStanding::Asserted, version: Version::FIRST };
    let by_email = ContactKey::from(&email("ANNA@mail.EXAMPLE"));
    assert_eq!(good(tx.users().contact_owner(&by_email, NOW).await), Some(asserted));
    let verified = ContactOwner::User { user: anna.id, standing: ContactStanding::Verified, version: number.version };
    assert_eq!(good(tx.users().contact_owner(&ContactKey::from(&number.value), NOW).await), Some(verified));
    let other_kind = ContactKey { key: "+36301234567".to_owned(), ..by_email };
    assert_eq!(good(tx.users().contact_owner(&other_kind, NOW).await), None);
    good(tx.rollback().await);
}

/// I4: two users never have one email or one phone, whatever their homes.
pub async fn contacts_are_unique(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, umbrella) = (workspace("acme"), workspace("umbrella"));
    let mut anna = user(acme.id, "anna");
    let number = Some(Contact::asserted(phone("+36301234567"), NOW));
    person(&mut anna).phone.clone_from(&number);
    put(&*subject, &[(&acme).into(), (&umbrella).into(), (&anna).into()]).await;
    let taken = StoreError::Conflict(Constraint::ContactKey);
    let mut same_email = user(umbrella.id, "other");
    person(&mut same_email).email.value = email("ANNA@mail.example");
    refused(&*subject, same_email.into(), taken.clone()).await;
    let mut same_phone = user(umbrella.id, "other");
    person(&mut same_phone).phone = number;
    refused(&*subject, same_phone.into(), taken).await;

    let (first, mut second) = (user(acme.id, "ben"), user(umbrella.id, "benjamin"));
    person(&mut second).email.value = email("ben@mail.example");
    exclude(&*subject, first.into(), second.into(), Constraint::ContactKey).await;
}

/// A username is unique at home by its key, and free elsewhere.
pub async fn usernames_are_unique_at_home(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, umbrella) = (workspace("acme"), workspace("umbrella"));
    put(&*subject, &[(&acme).into(), (&umbrella).into(), user(acme.id, "Anna").into()]).await;
    let mut tx = begin(&*subject).await;
    assert!(good(tx.users().username_taken(acme.id, "anna").await));
    assert!(!good(tx.users().username_taken(umbrella.id, "anna").await));
    assert!(!good(tx.users().username_taken(acme.id, "ben").await));
    good(tx.rollback().await);
    let namesake = |home, address: &str| {
        let mut namesake = user(home, "ANNA");
        person(&mut namesake).email.value = email(address);
        namesake
    };
    let taken = StoreError::Conflict(Constraint::Username);
    refused(&*subject, namesake(acme.id, "a1@mail.example").into(), taken).await;
    put(&*subject, &[namesake(umbrella.id, "a2@mail.example").into()]).await;

    let mut second = user(acme.id, "BEN");
    person(&mut second).email.value = email("benjamin@mail.example");
    exclude(&*subject, user(acme.id, "ben").into(), second.into(), Constraint::Username).await;
}

/// A held contact is reported and kept until its instant; at that instant it is free, and then a new user takes it.
pub async fn held_contacts_come_free(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let acme = workspace("acme");
    put(&*subject, &[(&acme).into()]).await;
    let key = ContactKey::from(&email("anna@mail.example"));
    let until = minute(10);
    subject.hold_contact(&key, acme.id, until).await;
    let mut tx = begin(&*subject).await;
    let held = ContactOwner::Held { former_home: acme.id, until };
    assert_eq!(good(tx.users().contact_owner(&key, minute(9)).await), Some(held));
    assert_eq!(good(tx.users().contact_owner(&key, until).await), None);
    good(tx.rollback().await);
    let mut anna = user(acme.id, "anna");
    anna.created_at = minute(9);
    refused(&*subject, (&anna).into(), StoreError::Conflict(Constraint::ContactKey)).await;
    anna.created_at = until;
    put(&*subject, &[(&anna).into()]).await;
    let mut tx = begin(&*subject).await;
    let owner = good(tx.users().contact_owner(&key, until).await);
    assert!(matches!(owner, Some(ContactOwner::User { user, .. }) if user == anna.id), "{owner:?}");
    good(tx.rollback().await);
}

/// `hold` passes at the version that was read, changes nothing, and is stale at another or for nobody.
pub async fn holding_proves_the_version(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let acme = workspace("acme");
    let anna = user(acme.id, "anna");
    put(&*subject, &[(&acme).into(), (&anna).into()]).await;
    let before = subject.dump().await;
    let mut tx = begin(&*subject).await;
    good(tx.users().hold(anna.id, anna.version).await);
    good(tx.commit().await);
    assert_eq!(subject.dump().await, before);
    for (user, version) in [(anna.id, anna.version.next()), (id(), Version::FIRST)] {
        let mut tx = begin(&*subject).await;
        assert_eq!(tx.users().hold(user, version).await, Err(StoreError::Stale));
        good(tx.rollback().await);
    }
}

/// A change is counted at the version that was read, and is stale at another or for nobody.
pub async fn changes_are_counted_at_their_version(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let acme = workspace("acme");
    let (mut anna, ben) = (user(acme.id, "anna"), user(acme.id, "ben"));
    put(&*subject, &[(&acme).into(), (&anna).into(), (&ben).into()]).await;
    let mut tx = begin(&*subject).await;
    good(tx.users().count_change(anna.id, anna.version, minute(5)).await);
    good(tx.commit().await);
    let read_at = anna.version;
    anna.version = read_at.next();
    anna.updated_at = minute(5);
    assert_eq!(good(subject.directory().user(anna.id).await).as_ref(), Some(&anna));
    assert_eq!(good(subject.directory().user(ben.id).await), Some(ben));
    let before = subject.dump().await;
    for (user, version) in [(anna.id, read_at), (anna.id, anna.version.next()), (id(), Version::FIRST)] {
        let mut tx = begin(&*subject).await;
        assert_eq!(tx.users().count_change(user, version, minute(6)).await, Err(StoreError::Stale));
        assert_eq!(tx.commit().await, Err(StoreError::Poisoned));
    }
    assert_eq!(subject.dump().await, before);
}

/// A contact of the user stands as verified since then, at its next version, and nothing else changes; another's or
/// nobody's is stale.
pub async fn contacts_are_verified(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let acme = workspace("acme");
    let (mut anna, ben) = (user(acme.id, "anna"), user(acme.id, "ben"));
    person(&mut anna).phone = Some(Contact::asserted(phone("+36301234567"), NOW));
    put(&*subject, &[(&acme).into(), (&anna).into(), (&ben).into()]).await;
    let (by_email, by_phone) =
        (ContactKey::from(&email("ANNA@mail.example")), ContactKey::from(&phone("+36301234567")));
    for (key, since) in [(&by_email, minute(5)), (&by_phone, minute(6))] {
        let mut tx = begin(&*subject).await;
        good(tx.users().verify_contact(anna.id, key, since).await);
        let owner = good(tx.users().contact_owner(key, since).await);
        let verified = ContactStanding::Verified;
        let expected = ContactOwner::User { user: anna.id, standing: verified, version: Version::FIRST.next() };
        assert_eq!(owner, Some(expected), "{key:?}");
        good(tx.commit().await);
        match key.kind {
            ContactKind::Email => person(&mut anna).email.verify(since),
            ContactKind::Phone => person(&mut anna).phone.as_mut().expect("she has one").verify(since),
        }
        assert_eq!(good(subject.directory().user(anna.id).await).as_ref(), Some(&anna), "{key:?}");
    }
    let held = ContactKey::from(&email("held@mail.example"));
    subject.hold_contact(&held, acme.id, minute(60)).await;
    let before = subject.dump().await;
    let nobodys = ContactKey::from(&email("nobody@mail.example"));
    for (user, key) in [(ben.id, &by_email), (id(), &by_email), (anna.id, &nobodys), (anna.id, &held)] {
        let mut tx = begin(&*subject).await;
        assert_eq!(tx.users().verify_contact(user, key, minute(7)).await, Err(StoreError::Stale));
        assert_eq!(tx.commit().await, Err(StoreError::Poisoned));
    }
    assert_eq!(subject.dump().await, before);
}

fn identity(issuer: &str, subject: &str) -> Identity {
    Identity { issuer: format!("https://{issuer}.example"), subject: subject.to_owned() }
}

/// The identities of a user come back by issuer and subject, letter by letter, in a unit and outside; so does the owner.
pub async fn identities_come_back_in_order(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let acme = workspace("acme");
    let (anna, ben) = (user(acme.id, "anna"), user(acme.id, "ben"));
    put(&*subject, &[(&acme).into(), (&anna).into(), (&ben).into()]).await;
    let ordered = [("a-b", "1"), ("a", "B"), ("a", "a"), ("a", "b"), ("b", "\u{e9}"), ("b", "\u{1f600}")];
    let ordered = ordered.map(|(issuer, subject)| identity(issuer, subject));
    for identity in ordered.iter().rev() {
        put(&*subject, &[(anna.id, identity.clone()).into()]).await;
    }
    put(&*subject, &[(ben.id, identity("a", "c")).into()]).await;
    let directory = subject.directory();
    assert_eq!(good(directory.identities(anna.id).await), ordered);
    assert_eq!(good(directory.identities(ben.id).await), [identity("a", "c")]);
    assert_eq!(good(directory.identities(id()).await), []);
    let mut tx = begin(&*subject).await;
    assert_eq!(good(tx.users().identities(anna.id).await), ordered);
    assert_eq!(good(tx.users().identities(id()).await), []);
    assert_eq!(good(tx.users().identity_owner(&identity("a", "b")).await), Some(anna.id));
    assert_eq!(good(tx.users().identity_owner(&identity("a", "c")).await), Some(ben.id));
    assert_eq!(good(tx.users().identity_owner(&identity("a", "C")).await), None);
    good(tx.rollback().await);
}

/// An identity is taken from the user it is bound to, and can be bound anew; from anybody else that is stale.
pub async fn identities_are_taken_from_their_user_alone(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let acme = workspace("acme");
    let (anna, ben) = (user(acme.id, "anna"), user(acme.id, "ben"));
    let (one, two) = (identity("login", "1"), identity("login", "2"));
    let rows =
        [(&acme).into(), (&anna).into(), (&ben).into(), (anna.id, one.clone()).into(), (anna.id, two.clone()).into()];
    put(&*subject, &rows).await;
    let before = subject.dump().await;
    for (user, identity) in [(ben.id, one.clone()), (id(), one.clone()), (anna.id, identity("login", "3"))] {
        let mut tx = begin(&*subject).await;
        assert_eq!(tx.users().unbind_identity(user, &identity).await, Err(StoreError::Stale));
        assert_eq!(tx.commit().await, Err(StoreError::Poisoned));
    }
    assert_eq!(subject.dump().await, before);
    let mut tx = begin(&*subject).await;
    good(tx.users().unbind_identity(anna.id, &one).await);
    good(tx.users().bind_identity(ben.id, &one, minute(1)).await);
    good(tx.commit().await);
    let directory = subject.directory();
    assert_eq!(good(directory.user_by_identity(&one).await), Some(ben.id));
    assert_eq!(good(directory.identities(anna.id).await), [two]);
}

/// An identity leads to the one user it is bound to; issuer and subject count.
pub async fn identities_are_bound_once(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let acme = workspace("acme");
    let (anna, ben) = (user(acme.id, "anna"), user(acme.id, "ben"));
    let identity = |subject: &str| identity("login", subject);
    put(&*subject, &[(&acme).into(), (&anna).into(), (&ben).into(), (anna.id, identity("1")).into()]).await;
    let directory = subject.directory();
    assert_eq!(good(directory.user_by_identity(&identity("1")).await), Some(anna.id));
    assert_eq!(good(directory.user_by_identity(&identity("2")).await), None);
    let elsewhere = Identity { issuer: "https://other.example".to_owned(), ..identity("1") };
    assert_eq!(good(directory.user_by_identity(&elsewhere).await), None);
    let taken = StoreError::Conflict(Constraint::Identity);
    refused(&*subject, (ben.id, identity("1")).into(), taken).await;
    let (a, b) = ((anna.id, identity("3")), (ben.id, identity("3")));
    exclude(&*subject, a.into(), b.into(), Constraint::Identity).await;
}
