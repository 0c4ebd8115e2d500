-- The first schema. Instants are microseconds since 1970, lists JSON. Keys are compared byte by byte, whatever the
-- database's own order of letters. Every unique rule that callers race for has a name, by which it is told.

CREATE TABLE meta (
    key text NOT NULL PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE workspaces (
    id uuid NOT NULL PRIMARY KEY,
    handle text COLLATE "C" NOT NULL CONSTRAINT workspaces_handle UNIQUE,
    display_name text NOT NULL,
    state text NOT NULL CONSTRAINT workspaces_state CHECK (state IN ('ACTIVE', 'SUSPENDED', 'CLOSING', 'CLOSED')),
    default_region text NOT NULL,
    default_language text NOT NULL,
    notice_languages text NOT NULL,
    channels text NOT NULL,
    gateway text,
    sender text,
    support_contact text,
    link_begin text,
    link_accept text,
    link_leave text,
    inbound text NOT NULL CONSTRAINT workspaces_inbound CHECK (inbound IN ('OPEN', 'RELATED_ONLY', 'CLOSED')),
    outbound text NOT NULL CONSTRAINT workspaces_outbound CHECK (outbound IN ('OPEN', 'RELATED_ONLY', 'CLOSED')),
    ceiling_roles text NOT NULL,
    ceiling_permissions text NOT NULL,
    visibility_of_externals text NOT NULL,
    acceptance_as_host boolean NOT NULL,
    acceptance_as_home boolean NOT NULL,
    disclosure text NOT NULL,
    external_managers boolean NOT NULL,
    created_at bigint NOT NULL,
    version bigint NOT NULL,
    revision bigint NOT NULL
);

CREATE TABLE workspace_domains (
    domain text COLLATE "C" NOT NULL PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces (id)
);
CREATE INDEX workspace_domains_workspace ON workspace_domains (workspace_id);

CREATE TABLE permissions (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    description text NOT NULL,
    registered_by text NOT NULL,
    registered_at bigint NOT NULL,
    retired_at bigint
);

CREATE TABLE roles (
    id uuid NOT NULL PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    handle text COLLATE "C" NOT NULL,
    display_name text NOT NULL,
    for_externals boolean NOT NULL,
    built_in text CONSTRAINT roles_built_in CHECK (built_in IN ('ACCESS_MANAGER', 'MEMBER', 'GUEST')),
    version bigint NOT NULL,
    CONSTRAINT roles_handle UNIQUE (workspace_id, handle)
);

CREATE TABLE role_permissions (
    role_id uuid NOT NULL REFERENCES roles (id),
    permission text COLLATE "C" NOT NULL REFERENCES permissions (name),
    PRIMARY KEY (role_id, permission)
);

-- UNIQUE (id, home_id) is what an Internal membership's key points at: no Internal outside the home (I1).
CREATE TABLE users (
    id uuid NOT NULL PRIMARY KEY,
    home_id uuid NOT NULL REFERENCES workspaces (id),
    created_in uuid NOT NULL REFERENCES workspaces (id),
    state text NOT NULL CONSTRAINT users_state CHECK (state IN ('ACTIVE', 'SUSPENDED', 'DEACTIVATED', 'ERASED')),
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    version bigint NOT NULL,
    UNIQUE (id, home_id)
);

-- Personal values lie apart from the record, so that erasing removes them and the record stays.
CREATE TABLE user_profiles (
    user_id uuid NOT NULL PRIMARY KEY REFERENCES users (id),
    home_id uuid NOT NULL,
    first_name text NOT NULL,
    last_name text NOT NULL,
    username text NOT NULL,
    username_key text COLLATE "C" NOT NULL,
    preferred_language text NOT NULL,
    CONSTRAINT user_profiles_username UNIQUE (home_id, username_key)
);

-- A contact is a live user's, or held for its former home (I4, M13).
CREATE TABLE contacts (
    kind text NOT NULL CONSTRAINT contacts_kind CHECK (kind IN ('EMAIL', 'PHONE')),
    match_key text COLLATE "C" NOT NULL,
    user_id uuid REFERENCES users (id),
    display text,
    standing text CONSTRAINT contacts_standing CHECK (standing IN ('ASSERTED', 'VERIFIED')),
    since bigint,
    version bigint,
    former_home uuid,
    held_until bigint,
    CONSTRAINT contacts_key PRIMARY KEY (kind, match_key),
    CONSTRAINT contacts_owner CHECK (
        (user_id IS NOT NULL AND display IS NOT NULL AND standing IS NOT NULL AND since IS NOT NULL
            AND version IS NOT NULL AND former_home IS NULL AND held_until IS NULL)
        OR (user_id IS NULL AND display IS NULL AND standing IS NULL AND since IS NULL
            AND version IS NULL AND former_home IS NOT NULL AND held_until IS NOT NULL)
    )
);
CREATE UNIQUE INDEX contacts_user ON contacts (user_id, kind) WHERE user_id IS NOT NULL;

CREATE TABLE identities (
    issuer text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id),
    bound_at bigint NOT NULL,
    CONSTRAINT identities_key PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_user ON identities (user_id);

-- The two kinds are told apart by the row: home_id stands exactly for Internals, state exactly for Externals.
CREATE TABLE memberships (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    user_id uuid NOT NULL REFERENCES users (id),
    id uuid NOT NULL UNIQUE,
    kind text NOT NULL,
    home_id uuid,
    state text CONSTRAINT memberships_state CHECK (state IN ('PENDING', 'ACTIVE', 'SUSPENDED', 'REVIEW')),
    language text,
    expires_at bigint,
    sponsor uuid,
    external_id text COLLATE "C",
    assigned_by uuid,
    assigned_at bigint NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT memberships_pair PRIMARY KEY (workspace_id, user_id),
    FOREIGN KEY (user_id, home_id) REFERENCES users (id, home_id),
    CONSTRAINT memberships_kind CHECK (
        (kind = 'INTERNAL' AND home_id = workspace_id AND home_id IS NOT NULL AND state IS NULL
            AND language IS NULL AND expires_at IS NULL AND sponsor IS NULL)
        OR (kind = 'EXTERNAL' AND home_id IS NULL AND state IS NOT NULL)
    )
);
CREATE UNIQUE INDEX memberships_internal ON memberships (user_id) WHERE kind = 'INTERNAL';
CREATE UNIQUE INDEX memberships_external_id ON memberships (workspace_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX memberships_user ON memberships (user_id, workspace_id);

CREATE TABLE membership_roles (
    workspace_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role_id uuid NOT NULL REFERENCES roles (id),
    PRIMARY KEY (workspace_id, user_id, role_id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES memberships (workspace_id, user_id)
);
CREATE INDEX membership_roles_role ON membership_roles (role_id);

CREATE TABLE membership_permissions (
    workspace_id uuid NOT NULL,
    user_id uuid NOT NULL,
    permission text COLLATE "C" NOT NULL REFERENCES permissions (name),
    PRIMARY KEY (workspace_id, user_id, permission),
    FOREIGN KEY (workspace_id, user_id) REFERENCES memberships (workspace_id, user_id)
);

CREATE TABLE membership_groups (
    workspace_id uuid NOT NULL,
    user_id uuid NOT NULL,
    group_id uuid NOT NULL,
    PRIMARY KEY (workspace_id, user_id, group_id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES memberships (workspace_id, user_id)
);

CREATE TABLE membership_units (
    workspace_id uuid NOT NULL,
    user_id uuid NOT NULL,
    unit_id uuid NOT NULL,
    PRIMARY KEY (workspace_id, user_id, unit_id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES memberships (workspace_id, user_id)
);

-- Personal: the contact that a host typed of an External.
CREATE TABLE membership_contacts (
    workspace_id uuid NOT NULL,
    user_id uuid NOT NULL,
    typed_contact text NOT NULL,
    PRIMARY KEY (workspace_id, user_id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES memberships (workspace_id, user_id)
);
CREATE INDEX membership_contacts_user ON membership_contacts (user_id);

CREATE TABLE membership_history (
    id uuid NOT NULL PRIMARY KEY,
    workspace_id uuid NOT NULL,
    user_id uuid NOT NULL,
    kind text NOT NULL,
    roles text NOT NULL,
    permissions text NOT NULL,
    external_id text,
    assigned_by uuid,
    assigned_at bigint NOT NULL,
    reason text NOT NULL,
    ended_at bigint NOT NULL,
    version bigint NOT NULL
);
CREATE INDEX membership_history_user ON membership_history (workspace_id, user_id, ended_at);

CREATE TABLE relationships (
    id uuid NOT NULL PRIMARY KEY,
    host_id uuid NOT NULL REFERENCES workspaces (id),
    home_id uuid NOT NULL REFERENCES workspaces (id),
    state text NOT NULL
        CONSTRAINT relationships_state CHECK (state IN ('PROPOSED', 'ACTIVE', 'DECLINED', 'LAPSED', 'ENDED')),
    suspended_by_host boolean NOT NULL,
    suspended_by_home boolean NOT NULL,
    ceiling_roles text NOT NULL,
    ceiling_permissions text NOT NULL,
    directory_visibility text,
    longest_membership bigint,
    host_acceptance boolean NOT NULL,
    disclosure text,
    allows_host boolean NOT NULL,
    home_acceptance boolean NOT NULL,
    proposed_by_side text NOT NULL,
    proposed_by uuid NOT NULL,
    proposed_at bigint NOT NULL,
    answered_by uuid,
    answered_at bigint,
    ended_at bigint,
    version bigint NOT NULL,
    CONSTRAINT relationships_pair CHECK (host_id <> home_id)
);
CREATE UNIQUE INDEX relationships_live ON relationships (host_id, home_id) WHERE state IN ('PROPOSED', 'ACTIVE');

CREATE TABLE notices (
    id uuid NOT NULL PRIMARY KEY,
    kind text NOT NULL,
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    home_id uuid NOT NULL REFERENCES workspaces (id),
    user_id uuid NOT NULL REFERENCES users (id),
    membership_id uuid NOT NULL,
    roles text NOT NULL,
    actor uuid,
    channel text NOT NULL,
    state text NOT NULL,
    not_sent text,
    reason text NOT NULL,
    language_asked text NOT NULL,
    language_used text,
    language_choice text,
    created_at bigint NOT NULL,
    due_at bigint,
    retry_until bigint NOT NULL,
    attempts bigint NOT NULL,
    lease_until bigint NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT notices_not_sent CHECK ((state = 'NOT_SENT') = (not_sent IS NOT NULL)),
    CONSTRAINT notices_language CHECK ((language_used IS NULL) = (language_choice IS NULL))
);
CREATE INDEX notices_due ON notices (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notices_workspace ON notices (workspace_id, id);
CREATE INDEX notices_home ON notices (home_id, id);

-- Personal: the text as it was or would be sent.
CREATE TABLE notice_messages (
    notice_id uuid NOT NULL PRIMARY KEY REFERENCES notices (id),
    user_id uuid NOT NULL,
    recipient text NOT NULL,
    sender text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    html text,
    reply_to text,
    language text NOT NULL
);
CREATE INDEX notice_messages_user ON notice_messages (user_id);

CREATE TABLE notice_attempts (
    notice_id uuid NOT NULL REFERENCES notices (id),
    number bigint NOT NULL,
    at bigint NOT NULL,
    class text NOT NULL,
    provider_words text NOT NULL,
    PRIMARY KEY (notice_id, number)
);

CREATE TABLE audit_records (
    id uuid NOT NULL PRIMARY KEY,
    workspace_id uuid,
    workspace_text text NOT NULL,
    service text NOT NULL,
    actor uuid,
    action text NOT NULL,
    outcome text NOT NULL,
    subject uuid,
    request_id uuid,
    correlation_id text NOT NULL,
    surface text NOT NULL,
    changes text NOT NULL,
    at bigint NOT NULL
);
CREATE INDEX audit_records_workspace ON audit_records (workspace_id, id);

-- Personal values of the record, keyed by the user they are about.
CREATE TABLE personal_values (
    audit_id uuid NOT NULL REFERENCES audit_records (id),
    place bigint NOT NULL,
    user_id uuid,
    path text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (audit_id, place)
);
CREATE INDEX personal_values_user ON personal_values (user_id);
CREATE INDEX personal_values_value ON personal_values (path, value) WHERE user_id IS NULL;

CREATE TABLE events (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    revision bigint NOT NULL,
    place bigint NOT NULL,
    id uuid NOT NULL,
    actor uuid,
    at bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (workspace_id, revision, place)
);

CREATE TABLE answered_requests (
    service text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    method text COLLATE "C" NOT NULL,
    request_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    answer text NOT NULL,
    at bigint NOT NULL,
    CONSTRAINT answered_requests_key PRIMARY KEY (request_id, service, user_id, method)
);

INSERT INTO permissions (name, description, registered_by, registered_at, retired_at) VALUES
    ('domicile.create', 'Find people, create them and link them', 'domicile', 0, NULL),
    ('domicile.update', 'Manage members and what they may do', 'domicile', 0, NULL);
