//! Notices with their texts and attempts.

use async_trait::async_trait;
use domicile_domain::model::id::{MembershipId, NoticeId, UserId, WorkspaceId};
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::notice::{Attempt, Message, NotSent, Notice, NoticeState};
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::port::store::{Leased, NoticeRepository, StoreError};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, Order, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};

use crate::convert::{At, Word, id_list, maybe_id, maybe_uuid, model, uuid};
use crate::entity::{notice, notice_attempt, notice_message};
use crate::unit_of_work::Lent;

/// The state's word, and beside it the reason of what was not sent.
const fn words(state: NoticeState) -> (&'static str, Option<NotSent>) {
    match state {
        NoticeState::Queued => ("QUEUED", None),
        NoticeState::Retrying => ("RETRYING", None),
        NoticeState::HandedOver => ("HANDED_OVER", None),
        NoticeState::Delivered => ("DELIVERED", None),
        NoticeState::NotDelivered => ("NOT_DELIVERED", None),
        NoticeState::NotSent(why) => ("NOT_SENT", Some(why)),
    }
}

fn state_of(at: &At, row: &notice::Model) -> Result<NoticeState, StoreError> {
    Ok(match (row.state.as_str(), row.not_sent.as_deref()) {
        ("QUEUED", None) => NoticeState::Queued,
        ("RETRYING", None) => NoticeState::Retrying,
        ("HANDED_OVER", None) => NoticeState::HandedOver,
        ("DELIVERED", None) => NoticeState::Delivered,
        ("NOT_DELIVERED", None) => NoticeState::NotDelivered,
        ("NOT_SENT", Some(why)) => NoticeState::NotSent(at.word("not_sent", why)?),
        (other, _) => return Err(at.corrupt("state", format_args!("`{other}` is no state"))),
    })
}

pub(crate) fn notice_of(row: notice::Model) -> Result<Notice, StoreError> {
    let at = At::new("notices", row.id);
    let state = state_of(&at, &row)?;
    let used = match (row.language_used, row.language_choice) {
        (Some(language), Some(choice)) => {
            Some((at.read("language_used", LanguageTag::parse(&language))?, at.word("language_choice", &choice)?))
        }
        _ => None,
    };
    Ok(Notice {
        id: NoticeId::from_uuid(row.id),
        kind: at.word("kind", &row.kind)?,
        workspace: WorkspaceId::from_uuid(row.workspace_id),
        home: WorkspaceId::from_uuid(row.home_id),
        user: UserId::from_uuid(row.user_id),
        membership: MembershipId::from_uuid(row.membership_id),
        roles: at.ids("roles", &row.roles)?.into_iter().collect(),
        actor: maybe_id(row.actor),
        channel: at.word("channel", &row.channel)?,
        state,
        reason: row.reason,
        language_asked: at.read("language_asked", LanguageTag::parse(&row.language_asked))?,
        language_used: used,
        created_at: Timestamp::from_micros(row.created_at),
        due_at: row.due_at.map(Timestamp::from_micros),
        retry_until: Timestamp::from_micros(row.retry_until),
        attempts: at.read("attempts", u32::try_from(row.attempts))?,
        version: Version::from_stored(row.version),
    })
}

fn row_of(of: &Notice) -> Result<notice::Model, StoreError> {
    let (state, not_sent) = words(of.state);
    let (used, choice) = of.language_used.clone().unzip();
    Ok(notice::Model {
        id: uuid(of.id),
        kind: of.kind.word().to_owned(),
        workspace_id: uuid(of.workspace),
        home_id: uuid(of.home),
        user_id: uuid(of.user),
        membership_id: uuid(of.membership),
        roles: id_list(&of.roles)?,
        actor: maybe_uuid(of.actor),
        channel: of.channel.word().to_owned(),
        state: state.to_owned(),
        not_sent: not_sent.map(|why| why.word().to_owned()),
        reason: of.reason.clone(),
        language_asked: of.language_asked.to_string(),
        language_used: used.map(|language| language.to_string()),
        language_choice: choice.map(|choice| choice.word().to_owned()),
        created_at: of.created_at.as_micros(),
        due_at: of.due_at.map(Timestamp::as_micros),
        retry_until: of.retry_until.as_micros(),
        attempts: i64::from(of.attempts),
        lease_until: 0,
        version: of.version.as_i64(),
    })
}

pub(crate) fn message_of(row: notice_message::Model) -> Result<Message, StoreError> {
    let at = At::new("notice_messages", row.notice_id);
    Ok(Message {
        to: row.recipient,
        from: row.sender,
        reply_to: row.reply_to,
        language: at.read("language", LanguageTag::parse(&row.language))?,
        subject: row.subject,
        text: row.body,
        html: row.html,
    })
}

pub(crate) fn attempt_of(row: notice_attempt::Model) -> Result<Attempt, StoreError> {
    let at = At::new("notice_attempts", row.notice_id);
    Ok(Attempt {
        number: at.read("number", u32::try_from(row.number))?,
        at: Timestamp::from_micros(row.at),
        class: at.word("class", &row.class)?,
        provider_words: row.provider_words,
    })
}

#[async_trait]
impl NoticeRepository for Lent<'_> {
    async fn insert(&mut self, notice: &Notice) -> Result<(), StoreError> {
        let row = row_of(notice)?;
        self.insert_row::<notice::Entity>(row.into_active_model()).await
    }

    async fn find(&mut self, id: NoticeId) -> Result<Option<Notice>, StoreError> {
        let statement = notice::Entity::find_by_id(uuid(id)).build(self.exec.backend());
        let Some(row) = self.exec.one(statement).await? else { return Ok(None) };
        let read = model("notices", &row).and_then(notice_of);
        self.checked(read).map(Some)
    }

    async fn lease_due(&mut self, now: Timestamp, lease_until: Timestamp, limit: u32) -> Result<Leased, StoreError> {
        let due = notice::Entity::find()
            .filter(notice::Column::DueAt.lte(now.as_micros()))
            .filter(notice::Column::LeaseUntil.lte(now.as_micros()))
            .order_by(notice::Column::DueAt, Order::Asc)
            .order_by(notice::Column::Id, Order::Asc)
            .limit(u64::from(limit))
            // Where several take leases at once, each passes over what another is just taking; on SQLite they take turns.
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .build(self.exec.backend());
        let rows = self.exec.all(due).await?;
        let rows: Result<Vec<notice::Model>, _> = rows.iter().map(|row| model("notices", row)).collect();
        let rows = self.checked(rows)?;
        if !rows.is_empty() {
            let statement = notice::Entity::update_many()
                .col_expr(notice::Column::LeaseUntil, Expr::value(lease_until.as_micros()))
                .filter(notice::Column::Id.is_in(rows.iter().map(|row| row.id)))
                .build(self.exec.backend());
            self.exec.exec(statement).await?;
        }
        let mut leased = Leased::default();
        for row in rows {
            let id = NoticeId::from_uuid(row.id);
            match notice_of(row) {
                Ok(notice) => leased.notices.push(notice),
                Err(error) => leased.unreadable.push((id, error)),
            }
        }
        Ok(leased)
    }

    async fn update(&mut self, notice: &Notice, read_at: Version) -> Result<(), StoreError> {
        let row = row_of(notice)?.into_active_model().reset_all();
        let statement = notice::Entity::update_many()
            .set(row)
            .filter(notice::Column::Id.eq(uuid(notice.id)))
            .filter(notice::Column::Version.eq(read_at.as_i64()))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)
    }

    async fn keep_message(&mut self, id: NoticeId, user: UserId, message: &Message) -> Result<(), StoreError> {
        use notice_message::Column::{Body, Html, Language, NoticeId as Key, Recipient, ReplyTo, Sender, Subject};
        let row = notice_message::Model {
            notice_id: uuid(id),
            user_id: uuid(user),
            recipient: message.to.clone(),
            sender: message.from.clone(),
            reply_to: message.reply_to.clone(),
            language: message.language.to_string(),
            subject: message.subject.clone(),
            body: message.text.clone(),
            html: message.html.clone(),
        };
        let replaced = [Recipient, Sender, ReplyTo, Language, Subject, Body, Html];
        let statement = notice_message::Entity::insert(row.into_active_model())
            .on_conflict(OnConflict::column(Key).update_columns(replaced).to_owned())
            .build(self.exec.backend());
        self.exec.exec(statement).await.map(|_| ())
    }

    async fn add_attempt(&mut self, id: NoticeId, attempt: &Attempt) -> Result<(), StoreError> {
        let row = notice_attempt::Model {
            notice_id: uuid(id),
            number: i64::from(attempt.number),
            at: attempt.at.as_micros(),
            class: attempt.class.word().to_owned(),
            provider_words: attempt.provider_words.clone(),
        };
        self.insert_row::<notice_attempt::Entity>(row.into_active_model()).await
    }
}
