-- The first schema. Ids are 16-byte blobs, instants microseconds since 1970, lists JSON.
-- Every CHECK has a name, since SQLite tells nothing else of one that failed.

CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workspaces (
    id BLOB NOT NULL PRIMARY KEY,
    handle TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    state TEXT NOT NULL CONSTRAINT workspaces_state CHECK (state IN ('ACTIVE', 'SUSPENDED', 'CLOSING', 'CLOSED')),
    default_region TEXT NOT NULL,
    default_language TEXT NOT NULL,
    notice_languages TEXT NOT NULL,
    channels TEXT NOT NULL,
    gateway TEXT,
    sender TEXT,
    support_contact TEXT,
    link_begin TEXT,
    link_accept TEXT,
    link_leave TEXT,
    inbound TEXT NOT NULL CONSTRAINT workspaces_inbound CHECK (inbound IN ('OPEN', 'RELATED_ONLY', 'CLOSED')),
    outbound TEXT NOT NULL CONSTRAINT workspaces_outbound CHECK (outbound IN ('OPEN', 'RELATED_ONLY', 'CLOSED')),
    ceiling_roles TEXT NOT NULL,
    ceiling_permissions TEXT NOT NULL,
    visibility_of_externals TEXT NOT NULL,
    acceptance_as_host INTEGER NOT NULL,
    acceptance_as_home INTEGER NOT NULL,
    disclosure TEXT NOT NULL,
    external_managers INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;

CREATE TABLE workspace_domains (
    domain TEXT NOT NULL PRIMARY KEY,
    workspace_id BLOB NOT NULL REFERENCES workspaces (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX workspace_domains_workspace ON workspace_domains (workspace_id);

CREATE TABLE permissions (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    registered_by TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    retired_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    id BLOB NOT NULL PRIMARY KEY,
    workspace_id BLOB NOT NULL REFERENCES workspaces (id),
    handle TEXT NOT NULL,
    display_name TEXT NOT NULL,
    for_externals INTEGER NOT NULL,
    built_in TEXT CONSTRAINT roles_built_in CHECK (built_in IN ('ACCESS_MANAGER', 'MEMBER', 'GUEST')),
    version INTEGER NOT NULL,
    UNIQUE (workspace_id, handle)
) STRICT;

CREATE TABLE role_permissions (
    role_id BLOB NOT NULL REFERENCES roles (id),
    permission TEXT NOT NULL REFERENCES permissions (name),
    PRIMARY KEY (role_id, permission)
) STRICT, WITHOUT ROWID;

-- UNIQUE (id, home_id) is what an Internal membership's key points at: no Internal outside the home (I1).
CREATE TABLE users (
    id BLOB NOT NULL PRIMARY KEY,
    home_id BLOB NOT NULL REFERENCES workspaces (id),
    created_in BLOB NOT NULL REFERENCES workspaces (id),
    state TEXT NOT NULL CONSTRAINT users_state CHECK (state IN ('ACTIVE', 'SUSPENDED', 'DEACTIVATED', 'ERASED')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (id, home_id)
) STRICT;

-- Personal values lie apart from the record, so that erasing removes them and the record stays.
CREATE TABLE user_profiles (
    user_id BLOB NOT NULL PRIMARY KEY REFERENCES users (id),
    home_id BLOB NOT NULL,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    username TEXT NOT NULL,
    username_key TEXT NOT NULL,
    preferred_language TEXT NOT NULL,
    UNIQUE (home_id, username_key)
) STRICT;

-- A contact is a live user's, or held for its former home (I4, M13).
CREATE TABLE contacts (
    kind TEXT NOT NULL CONSTRAINT contacts_kind CHECK (kind IN ('EMAIL', 'PHONE')),
    match_key TEXT NOT NULL,
    user_id BLOB REFERENCES users (id),
    display TEXT,
    standing TEXT CONSTRAINT contacts_standing CHECK (standing IN ('ASSERTED', 'VERIFIED')),
    since INTEGER,
    version INTEGER,
    former_home BLOB,
    held_until INTEGER,
    PRIMARY KEY (kind, match_key),
    CONSTRAINT contacts_owner CHECK (
        (user_id IS NOT NULL AND display IS NOT NULL AND standing IS NOT NULL AND since IS NOT NULL
            AND version IS NOT NULL AND former_home IS NULL AND held_until IS NULL)
        OR (user_id IS NULL AND display IS NULL AND standing IS NULL AND since IS NULL
            AND version IS NULL AND former_home IS NOT NULL AND held_until IS NOT NULL)
    )
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX contacts_user ON contacts (user_id, kind) WHERE user_id IS NOT NULL;

CREATE TABLE identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id BLOB NOT NULL REFERENCES users (id),
    bound_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_user ON identities (user_id);

-- The two kinds are told apart by the row: home_id stands exactly for Internals, state exactly for Externals.
CREATE TABLE memberships (
    workspace_id BLOB NOT NULL REFERENCES workspaces (id),
    user_id BLOB NOT NULL REFERENCES users (id),
    id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    home_id BLOB,
    state TEXT CONSTRAINT memberships_state CHECK (state IN ('PENDING', 'ACTIVE', 'SUSPENDED', 'REVIEW')),
    language TEXT,
    expires_at INTEGER,
    sponsor BLOB,
    external_id TEXT,
    assigned_by BLOB,
    assigned_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, user_id),
    FOREIGN KEY (user_id, home_id) REFERENCES users (id, home_id),
    CONSTRAINT memberships_kind CHECK (
        (kind = 'INTERNAL' AND home_id = workspace_id AND home_id IS NOT NULL AND state IS NULL
            AND language IS NULL AND expires_at IS NULL AND sponsor IS NULL)
        OR (kind = 'EXTERNAL' AND home_id IS NULL AND state IS NOT NULL)
    )
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX memberships_internal ON memberships (user_id) WHERE kind = 'INTERNAL';
CREATE UNIQUE INDEX memberships_external_id ON memberships (workspace_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX memberships_user ON memberships (user_id, workspace_id);

CREATE TABLE membership_roles (
    workspace_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    role_id BLOB NOT NULL REFERENCES roles (id),
    PRIMARY KEY (workspace_id, user_id, role_id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES memberships (workspace_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_roles_role ON membership_roles (role_id);

CREATE TABLE membership_permissions (
    workspace_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    permission TEXT NOT NULL REFERENCES permissions (name),
    PRIMARY KEY (workspace_id, user_id, permission),
    FOREIGN KEY (workspace_id, user_id) REFERENCES memberships (workspace_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE membership_groups (
    workspace_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    group_id BLOB NOT NULL,
    PRIMARY KEY (workspace_id, user_id, group_id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES memberships (workspace_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE membership_units (
    workspace_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    unit_id BLOB NOT NULL,
    PRIMARY KEY (workspace_id, user_id, unit_id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES memberships (workspace_id, user_id)
) STRICT, WITHOUT ROWID;

-- Personal: the contact that a host typed of an External.
CREATE TABLE membership_contacts (
    workspace_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    typed_contact TEXT NOT NULL,
    PRIMARY KEY (workspace_id, user_id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES memberships (workspace_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_contacts_user ON membership_contacts (user_id);

CREATE TABLE membership_history (
    id BLOB NOT NULL PRIMARY KEY,
    workspace_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    roles TEXT NOT NULL,
    permissions TEXT NOT NULL,
    external_id TEXT,
    assigned_by BLOB,
    assigned_at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    ended_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;
CREATE INDEX membership_history_user ON membership_history (workspace_id, user_id, ended_at);

CREATE TABLE relationships (
    id BLOB NOT NULL PRIMARY KEY,
    host_id BLOB NOT NULL REFERENCES workspaces (id),
    home_id BLOB NOT NULL REFERENCES workspaces (id),
    state TEXT NOT NULL
        CONSTRAINT relationships_state CHECK (state IN ('PROPOSED', 'ACTIVE', 'DECLINED', 'LAPSED', 'ENDED')),
    suspended_by_host INTEGER NOT NULL,
    suspended_by_home INTEGER NOT NULL,
    ceiling_roles TEXT NOT NULL,
    ceiling_permissions TEXT NOT NULL,
    directory_visibility TEXT,
    longest_membership INTEGER,
    host_acceptance INTEGER NOT NULL,
    disclosure TEXT,
    allows_host INTEGER NOT NULL,
    home_acceptance INTEGER NOT NULL,
    proposed_by_side TEXT NOT NULL,
    proposed_by BLOB NOT NULL,
    proposed_at INTEGER NOT NULL,
    answered_by BLOB,
    answered_at INTEGER,
    ended_at INTEGER,
    version INTEGER NOT NULL,
    CONSTRAINT relationships_pair CHECK (host_id <> home_id)
) STRICT;
CREATE UNIQUE INDEX relationships_live ON relationships (host_id, home_id) WHERE state IN ('PROPOSED', 'ACTIVE');

CREATE TABLE notices (
    id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    workspace_id BLOB NOT NULL REFERENCES workspaces (id),
    home_id BLOB NOT NULL REFERENCES workspaces (id),
    user_id BLOB NOT NULL REFERENCES users (id),
    membership_id BLOB NOT NULL,
    roles TEXT NOT NULL,
    actor BLOB,
    channel TEXT NOT NULL,
    state TEXT NOT NULL,
    not_sent TEXT,
    reason TEXT NOT NULL,
    language_asked TEXT NOT NULL,
    language_used TEXT,
    language_choice TEXT,
    created_at INTEGER NOT NULL,
    due_at INTEGER,
    retry_until INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    version INTEGER NOT NULL,
    CONSTRAINT notices_not_sent CHECK ((state = 'NOT_SENT') = (not_sent IS NOT NULL)),
    CONSTRAINT notices_language CHECK ((language_used IS NULL) = (language_choice IS NULL))
) STRICT;
CREATE INDEX notices_due ON notices (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notices_workspace ON notices (workspace_id, id);
CREATE INDEX notices_home ON notices (home_id, id);

-- Personal: the text as it was or would be sent.
CREATE TABLE notice_messages (
    notice_id BLOB NOT NULL PRIMARY KEY REFERENCES notices (id),
    user_id BLOB NOT NULL,
    recipient TEXT NOT NULL,
    sender TEXT NOT NULL,
    reply_to TEXT,
    language TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    html TEXT
) STRICT;
CREATE INDEX notice_messages_user ON notice_messages (user_id);

CREATE TABLE notice_attempts (
    notice_id BLOB NOT NULL REFERENCES notices (id),
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    class TEXT NOT NULL,
    provider_words TEXT NOT NULL,
    PRIMARY KEY (notice_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_records (
    id BLOB NOT NULL PRIMARY KEY,
    workspace_id BLOB,
    workspace_text TEXT NOT NULL,
    service TEXT NOT NULL,
    actor BLOB,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    subject BLOB,
    request_id BLOB,
    correlation_id TEXT NOT NULL,
    surface TEXT NOT NULL,
    changes TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_records_workspace ON audit_records (workspace_id, id);

-- Personal values of the record, keyed by the user they are about.
CREATE TABLE personal_values (
    audit_id BLOB NOT NULL REFERENCES audit_records (id),
    place INTEGER NOT NULL,
    user_id BLOB,
    path TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (audit_id, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX personal_values_user ON personal_values (user_id);
CREATE INDEX personal_values_value ON personal_values (path, value) WHERE user_id IS NULL;

CREATE TABLE events (
    workspace_id BLOB NOT NULL REFERENCES workspaces (id),
    revision INTEGER NOT NULL,
    place INTEGER NOT NULL,
    id BLOB NOT NULL,
    actor BLOB,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (workspace_id, revision, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE answered_requests (
    service TEXT NOT NULL,
    user_id BLOB NOT NULL,
    method TEXT NOT NULL,
    request_id BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    answer TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (request_id, service, user_id, method)
) STRICT, WITHOUT ROWID;

INSERT INTO permissions (name, description, registered_by, registered_at, retired_at) VALUES
    ('domicile.create', 'Find people, create them and link them', 'domicile', 0, NULL),
    ('domicile.update', 'Manage members and what they may do', 'domicile', 0, NULL);
