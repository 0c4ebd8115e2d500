//! Users with their persons, contacts and identities.

use async_trait::async_trait;
use domicile_domain::model::contact::{Contact, ContactKey, ContactKind, ContactOwner, ContactStanding};
use domicile_domain::model::email::EmailAddress;
use domicile_domain::model::id::{UserId, WorkspaceId};
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::name::{Name, Username};
use domicile_domain::model::phone::PhoneNumber;
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::model::user::{Identity, Person, User, UserState};
use domicile_domain::port::store::{StoreError, UserRepository};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryTrait};
use uuid::Uuid;

use crate::convert::{At, Word, model, uuid};
use crate::entity::{contact, identity, user, user_profile};
use crate::executor::Executor;
use crate::unit_of_work::Lent;

/// Reads users by id with three statements, whatever their number. Ids that name nobody are left out.
pub(crate) async fn load(exec: &mut dyn Executor, ids: &[Uuid]) -> Result<Vec<User>, StoreError> {
    let backend = exec.backend();
    let users = user::Entity::find().filter(user::Column::Id.is_in(ids.iter().copied())).build(backend);
    let users = exec.all(users).await?;
    let profiles =
        user_profile::Entity::find().filter(user_profile::Column::UserId.is_in(ids.iter().copied())).build(backend);
    let profiles = exec.all(profiles).await?;
    let contacts = contact::Entity::find().filter(contact::Column::UserId.is_in(ids.iter().copied())).build(backend);
    let contacts = exec.all(contacts).await?;

    let profiles: Vec<user_profile::Model> =
        profiles.iter().map(|row| model("user_profiles", row)).collect::<Result<_, _>>()?;
    let contacts: Vec<contact::Model> = contacts.iter().map(|row| model("contacts", row)).collect::<Result<_, _>>()?;
    let read = users.iter().map(|row| user_of(&model("users", row)?, &profiles, &contacts)).collect();
    if matches!(read, Err(StoreError::Corrupt { .. })) {
        exec.poison();
    }
    read
}

fn user_of(
    row: &user::Model,
    profiles: &[user_profile::Model],
    contacts: &[contact::Model],
) -> Result<User, StoreError> {
    let at = At::new("users", row.id);
    let state: UserState = at.word("state", &row.state)?;
    let profile = profiles.iter().find(|p| p.user_id == row.id);
    let person = match (state, profile) {
        (UserState::Erased, None) => None,
        (UserState::Erased, Some(_)) => return Err(at.corrupt("state", "an erased user has a profile")),
        (_, None) => return Err(at.corrupt("id", "a live user has no profile")),
        (_, Some(profile)) => Some(person_of(profile, contacts)?),
    };
    Ok(User {
        id: UserId::from_uuid(row.id),
        home: WorkspaceId::from_uuid(row.home_id),
        created_in: WorkspaceId::from_uuid(row.created_in),
        state,
        person,
        created_at: Timestamp::from_micros(row.created_at),
        updated_at: Timestamp::from_micros(row.updated_at),
        version: Version::from_stored(row.version),
    })
}

fn person_of(row: &user_profile::Model, contacts: &[contact::Model]) -> Result<Person, StoreError> {
    let at = At::new("user_profiles", row.user_id);
    let of_kind = |kind: ContactKind| contacts.iter().find(|c| c.user_id == Some(row.user_id) && c.kind == kind.word());
    let email = of_kind(ContactKind::Email).ok_or_else(|| at.corrupt("user_id", "a live user has no email"))?;
    let phone = of_kind(ContactKind::Phone);
    Ok(Person {
        first_name: at.read("first_name", Name::parse(&row.first_name))?,
        last_name: at.read("last_name", Name::parse(&row.last_name))?,
        username: at.read("username", Username::parse(&row.username))?,
        preferred_language: at.read("preferred_language", LanguageTag::parse(&row.preferred_language))?,
        email: contact_of(email, EmailAddress::parse)?,
        phone: phone.map(|phone| contact_of(phone, PhoneNumber::parse)).transpose()?,
    })
}

fn contact_of<T, E: std::fmt::Display>(
    row: &contact::Model,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Contact<T>, StoreError> {
    // The key is personal; the row is named by its user.
    let at = At::new("contacts", row.user_id.unwrap_or_default());
    let (standing, version) = standing_of(&at, row)?;
    Ok(Contact {
        value: at.read("display", parse(row.display.as_deref().unwrap_or_default()))?,
        standing,
        since: Timestamp::from_micros(row.since.unwrap_or_default()),
        version,
    })
}

fn standing_of(at: &At, row: &contact::Model) -> Result<(ContactStanding, Version), StoreError> {
    let standing = at.word("standing", row.standing.as_deref().unwrap_or_default())?;
    Ok((standing, Version::from_stored(row.version.unwrap_or_default())))
}

fn contact_row<T: std::fmt::Display>(user: &User, key: ContactKey, contact: &Contact<T>) -> contact::Model {
    contact::Model {
        kind: key.kind.word().to_owned(),
        match_key: key.key,
        user_id: Some(uuid(user.id)),
        display: Some(contact.value.to_string()),
        standing: Some(contact.standing.word().to_owned()),
        since: Some(contact.since.as_micros()),
        version: Some(contact.version.as_i64()),
        former_home: None,
        held_until: None,
    }
}

/// The user to whom an identity is bound.
pub(crate) async fn identity_owner(exec: &mut dyn Executor, identity: &Identity) -> Result<Option<UserId>, StoreError> {
    let id = (identity.issuer.clone(), identity.subject.clone());
    let statement = identity::Entity::find_by_id(id).build(exec.backend());
    let row = exec.one(statement).await?;
    let row = row.map(|row| model::<identity::Model>("identities", &row)).transpose()?;
    Ok(row.map(|row| UserId::from_uuid(row.user_id)))
}

/// The identities of a user. They are sorted here: the engines' collations differ.
pub(crate) async fn identities(exec: &mut dyn Executor, user: UserId) -> Result<Vec<Identity>, StoreError> {
    let statement = identity::Entity::find().filter(identity::Column::UserId.eq(uuid(user))).build(exec.backend());
    let rows = exec.all(statement).await?;
    let bound = rows.iter().map(|row| {
        let row: identity::Model = model("identities", row)?;
        Ok(Identity { issuer: row.issuer, subject: row.subject })
    });
    let mut bound = bound.collect::<Result<Vec<_>, StoreError>>()?;
    bound.sort();
    Ok(bound)
}

#[async_trait]
impl UserRepository for Lent<'_> {
    async fn find(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(load(self.exec, &[uuid(id)]).await?.pop())
    }

    async fn contact_owner(&mut self, key: &ContactKey, now: Timestamp) -> Result<Option<ContactOwner>, StoreError> {
        let statement =
            contact::Entity::find_by_id((key.kind.word().to_owned(), key.key.clone())).build(self.exec.backend());
        let Some(row) = self.exec.one(statement).await? else { return Ok(None) };
        let row: contact::Model = self.checked(model("contacts", &row))?;
        match (row.user_id, row.former_home, row.held_until) {
            (Some(user), _, _) => {
                let (standing, version) = self.checked(standing_of(&At::new("contacts", user), &row))?;
                Ok(Some(ContactOwner::User { user: UserId::from_uuid(user), standing, version }))
            }
            (None, Some(home), Some(until)) if until > now.as_micros() => Ok(Some(ContactOwner::Held {
                former_home: WorkspaceId::from_uuid(home),
                until: Timestamp::from_micros(until),
            })),
            _ => Ok(None),
        }
    }

    async fn username_taken(&mut self, home: WorkspaceId, key: &str) -> Result<bool, StoreError> {
        let statement = user_profile::Entity::find()
            .filter(user_profile::Column::HomeId.eq(uuid(home)))
            .filter(user_profile::Column::UsernameKey.eq(key))
            .build(self.exec.backend());
        Ok(self.exec.one(statement).await?.is_some())
    }

    async fn insert(&mut self, user: &User) -> Result<(), StoreError> {
        let row = user::Model {
            id: uuid(user.id),
            home_id: uuid(user.home),
            created_in: uuid(user.created_in),
            state: user.state.word().to_owned(),
            created_at: user.created_at.as_micros(),
            updated_at: user.updated_at.as_micros(),
            version: user.version.as_i64(),
        };
        self.insert_row::<user::Entity>(row.into_active_model()).await?;
        let Some(person) = &user.person else { return Ok(()) };
        let profile = user_profile::Model {
            user_id: uuid(user.id),
            home_id: uuid(user.home),
            first_name: person.first_name.to_string(),
            last_name: person.last_name.to_string(),
            username: person.username.to_string(),
            username_key: person.username.match_key().to_owned(),
            preferred_language: person.preferred_language.to_string(),
        };
        self.insert_row::<user_profile::Entity>(profile.into_active_model()).await?;
        let email = contact_row(user, ContactKey::from(&person.email.value), &person.email);
        let phone = person.phone.as_ref().map(|phone| contact_row(user, ContactKey::from(&phone.value), phone));
        for row in std::iter::once(email).chain(phone) {
            self.release_expired(&row, user.created_at).await?;
            self.insert_row::<contact::Entity>(row.into_active_model()).await?;
        }
        Ok(())
    }

    async fn hold(&mut self, id: UserId, version: Version) -> Result<(), StoreError> {
        // An update that changes nothing: it takes the row's lock and proves the version, on every engine.
        let statement = user::Entity::update_many()
            .col_expr(user::Column::Version, Expr::value(version.as_i64()))
            .filter(user::Column::Id.eq(uuid(id)))
            .filter(user::Column::Version.eq(version.as_i64()))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)
    }

    async fn count_change(&mut self, id: UserId, read_at: Version, now: Timestamp) -> Result<(), StoreError> {
        let statement = user::Entity::update_many()
            .col_expr(user::Column::Version, Expr::value(read_at.next().as_i64()))
            .col_expr(user::Column::UpdatedAt, Expr::value(now.as_micros()))
            .filter(user::Column::Id.eq(uuid(id)))
            .filter(user::Column::Version.eq(read_at.as_i64()))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)
    }

    async fn verify_contact(&mut self, user: UserId, key: &ContactKey, now: Timestamp) -> Result<(), StoreError> {
        let statement = contact::Entity::update_many()
            .col_expr(contact::Column::Standing, Expr::value(ContactStanding::Verified.word()))
            .col_expr(contact::Column::Since, Expr::value(now.as_micros()))
            .col_expr(contact::Column::Version, Expr::col(contact::Column::Version).add(1))
            .filter(contact::Column::Kind.eq(key.kind.word()))
            .filter(contact::Column::MatchKey.eq(key.key.as_str()))
            .filter(contact::Column::UserId.eq(uuid(user)))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)
    }

    async fn identity_owner(&mut self, identity: &Identity) -> Result<Option<UserId>, StoreError> {
        let owner = identity_owner(self.exec, identity).await;
        self.checked(owner)
    }

    async fn identities(&mut self, user: UserId) -> Result<Vec<Identity>, StoreError> {
        let bound = identities(self.exec, user).await;
        self.checked(bound)
    }

    async fn bind_identity(&mut self, user: UserId, identity: &Identity, now: Timestamp) -> Result<(), StoreError> {
        let row = identity::Model {
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            user_id: uuid(user),
            bound_at: now.as_micros(),
        };
        self.insert_row::<identity::Entity>(row.into_active_model()).await
    }

    async fn unbind_identity(&mut self, user: UserId, identity: &Identity) -> Result<(), StoreError> {
        let statement = identity::Entity::delete_many()
            .filter(identity::Column::Issuer.eq(identity.issuer.as_str()))
            .filter(identity::Column::Subject.eq(identity.subject.as_str()))
            .filter(identity::Column::UserId.eq(uuid(user)))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)
    }
}

impl Lent<'_> {
    /// Takes away a hold on the contact that is over.
    async fn release_expired(&mut self, row: &contact::Model, now: Timestamp) -> Result<(), StoreError> {
        let statement = contact::Entity::delete_many()
            .filter(contact::Column::Kind.eq(row.kind.as_str()))
            .filter(contact::Column::MatchKey.eq(row.match_key.as_str()))
            .filter(contact::Column::HeldUntil.lte(now.as_micros()))
            .build(self.exec.backend());
        self.exec.exec(statement).await.map(|_| ())
    }
}
