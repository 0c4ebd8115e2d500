//! The tables as SeaORM entities, private to the crate: column names, types and row models.

/// A table as an entity without relations; keys and constraints stand in the schema.
macro_rules! entity {
    ($name:ident, $table:literal, { $($(#[$attr:meta])* $field:ident: $type:ty,)* }) => {
        pub(crate) mod $name {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model {
                $($(#[$attr])* pub $field: $type,)*
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

entity!(meta, "meta", {
    #[sea_orm(primary_key, auto_increment = false)]
    key: String,
    value: String,
});

entity!(workspace, "workspaces", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    handle: String,
    display_name: String,
    state: String,
    default_region: String,
    default_language: String,
    notice_languages: String,
    channels: String,
    gateway: Option<String>,
    sender: Option<String>,
    support_contact: Option<String>,
    link_begin: Option<String>,
    link_accept: Option<String>,
    link_leave: Option<String>,
    inbound: String,
    outbound: String,
    ceiling_roles: String,
    ceiling_permissions: String,
    visibility_of_externals: String,
    acceptance_as_host: bool,
    acceptance_as_home: bool,
    disclosure: String,
    external_managers: bool,
    created_at: i64,
    version: i64,
    revision: i64,
});

entity!(workspace_domain, "workspace_domains", {
    #[sea_orm(primary_key, auto_increment = false)]
    domain: String,
    workspace_id: Uuid,
});

entity!(permission, "permissions", {
    #[sea_orm(primary_key, auto_increment = false)]
    name: String,
    description: String,
    registered_by: String,
    registered_at: i64,
    retired_at: Option<i64>,
});

entity!(role, "roles", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    workspace_id: Uuid,
    handle: String,
    display_name: String,
    for_externals: bool,
    built_in: Option<String>,
    version: i64,
});

entity!(role_permission, "role_permissions", {
    #[sea_orm(primary_key, auto_increment = false)]
    role_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    permission: String,
});

entity!(user, "users", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    home_id: Uuid,
    created_in: Uuid,
    state: String,
    created_at: i64,
    updated_at: i64,
    version: i64,
});

entity!(user_profile, "user_profiles", {
    #[sea_orm(primary_key, auto_increment = false)]
    user_id: Uuid,
    home_id: Uuid,
    first_name: String,
    last_name: String,
    username: String,
    username_key: String,
    preferred_language: String,
});

entity!(contact, "contacts", {
    #[sea_orm(primary_key, auto_increment = false)]
    kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    match_key: String,
    user_id: Option<Uuid>,
    display: Option<String>,
    standing: Option<String>,
    since: Option<i64>,
    version: Option<i64>,
    former_home: Option<Uuid>,
    held_until: Option<i64>,
});

entity!(identity, "identities", {
    #[sea_orm(primary_key, auto_increment = false)]
    issuer: String,
    #[sea_orm(primary_key, auto_increment = false)]
    subject: String,
    user_id: Uuid,
    bound_at: i64,
});

entity!(membership, "memberships", {
    #[sea_orm(primary_key, auto_increment = false)]
    workspace_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    user_id: Uuid,
    id: Uuid,
    kind: String,
    home_id: Option<Uuid>,
    state: Option<String>,
    language: Option<String>,
    expires_at: Option<i64>,
    sponsor: Option<Uuid>,
    external_id: Option<String>,
    assigned_by: Option<Uuid>,
    assigned_at: i64,
    version: i64,
    roles: String,
    permissions: String,
    groups: String,
    units: String,
});

entity!(membership_role, "membership_roles", {
    #[sea_orm(primary_key, auto_increment = false)]
    role_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    user_id: Uuid,
});

entity!(membership_permission, "membership_permissions", {
    #[sea_orm(primary_key, auto_increment = false)]
    workspace_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    user_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    permission: String,
});

entity!(group, "groups", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    workspace_id: Uuid,
    handle: String,
    display_name: String,
    version: i64,
});

entity!(group_role, "group_roles", {
    #[sea_orm(primary_key, auto_increment = false)]
    group_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    role_id: Uuid,
});

entity!(membership_group, "membership_groups", {
    #[sea_orm(primary_key, auto_increment = false)]
    group_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    user_id: Uuid,
});

entity!(membership_contact, "membership_contacts", {
    #[sea_orm(primary_key, auto_increment = false)]
    workspace_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    user_id: Uuid,
    typed_contact: String,
});

entity!(membership_history, "membership_history", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    workspace_id: Uuid,
    user_id: Uuid,
    kind: String,
    roles: String,
    permissions: String,
    external_id: Option<String>,
    assigned_by: Option<Uuid>,
    assigned_at: i64,
    reason: String,
    ended_at: i64,
    version: i64,
});

entity!(relationship, "relationships", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    host_id: Uuid,
    home_id: Uuid,
    state: String,
    suspended_by_host: bool,
    suspended_by_home: bool,
    ceiling_roles: String,
    ceiling_permissions: String,
    directory_visibility: Option<String>,
    longest_membership: Option<i64>,
    host_acceptance: bool,
    disclosure: Option<String>,
    allows_host: bool,
    home_acceptance: bool,
    proposed_by_side: String,
    proposed_by: Uuid,
    proposed_at: i64,
    answered_by: Option<Uuid>,
    answered_at: Option<i64>,
    ended_at: Option<i64>,
    version: i64,
    home_withheld: bool,
});

entity!(notice, "notices", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    kind: String,
    workspace_id: Uuid,
    home_id: Uuid,
    user_id: Uuid,
    membership_id: Uuid,
    roles: String,
    actor: Option<Uuid>,
    channel: String,
    state: String,
    not_sent: Option<String>,
    reason: String,
    language_asked: String,
    language_used: Option<String>,
    language_choice: Option<String>,
    created_at: i64,
    due_at: Option<i64>,
    retry_until: i64,
    attempts: i64,
    lease_until: i64,
    version: i64,
});

entity!(notice_message, "notice_messages", {
    #[sea_orm(primary_key, auto_increment = false)]
    notice_id: Uuid,
    user_id: Uuid,
    recipient: String,
    sender: String,
    reply_to: Option<String>,
    language: String,
    subject: String,
    body: String,
    html: Option<String>,
});

entity!(notice_attempt, "notice_attempts", {
    #[sea_orm(primary_key, auto_increment = false)]
    notice_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    number: i64,
    at: i64,
    class: String,
    provider_words: String,
});

entity!(audit_record, "audit_records", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    workspace_id: Option<Uuid>,
    workspace_text: String,
    service: String,
    actor: Option<Uuid>,
    action: String,
    outcome: String,
    subject: Option<Uuid>,
    request_id: Option<Uuid>,
    correlation_id: String,
    surface: String,
    changes: String,
    at: i64,
});

entity!(personal_value, "personal_values", {
    #[sea_orm(primary_key, auto_increment = false)]
    audit_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    place: i64,
    user_id: Option<Uuid>,
    path: String,
    value: String,
});

entity!(event, "events", {
    #[sea_orm(primary_key, auto_increment = false)]
    workspace_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    revision: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    place: i64,
    id: Uuid,
    actor: Option<Uuid>,
    at: i64,
    body: String,
});

entity!(answered_request, "answered_requests", {
    #[sea_orm(primary_key, auto_increment = false)]
    service: String,
    #[sea_orm(primary_key, auto_increment = false)]
    user_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    method: String,
    #[sea_orm(primary_key, auto_increment = false)]
    request_id: Uuid,
    fingerprint: Vec<u8>,
    answer: String,
    at: i64,
});

entity!(budget_counter, "budget_counters", {
    #[sea_orm(primary_key, auto_increment = false)]
    kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    subject: String,
    #[sea_orm(primary_key, auto_increment = false)]
    slot: i64,
    period: i64,
    counted: i64,
    counted_before: i64,
});
