-- What a member was given stands in the row of the membership, since every check reads it: lists of words with a blank between
-- two, ids as 32 hexadecimal digits. The tables of roles, permissions and groups lead back from these to the members.
-- Tables that gain or lose a key are made anew; meanwhile keys between tables are not looked at, and after it all are.
CREATE TABLE memberships_anew (
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
    roles TEXT NOT NULL,
    permissions TEXT NOT NULL,
    groups TEXT NOT NULL,
    units TEXT NOT NULL,
    PRIMARY KEY (workspace_id, user_id),
    FOREIGN KEY (user_id, home_id) REFERENCES users (id, home_id),
    CONSTRAINT memberships_kind CHECK (
        (kind = 'INTERNAL' AND home_id = workspace_id AND home_id IS NOT NULL AND state IS NULL
            AND language IS NULL AND expires_at IS NULL AND sponsor IS NULL)
        OR (kind = 'EXTERNAL' AND home_id IS NULL AND state IS NOT NULL AND groups = '' AND units = '')
    )
) STRICT, WITHOUT ROWID;
INSERT INTO memberships_anew SELECT m.*,
    coalesce((SELECT group_concat(lower(hex(x.role_id)), ' ') FROM membership_roles x
        WHERE x.workspace_id = m.workspace_id AND x.user_id = m.user_id), ''),
    coalesce((SELECT group_concat(x.permission, ' ') FROM membership_permissions x
        WHERE x.workspace_id = m.workspace_id AND x.user_id = m.user_id), ''),
    coalesce((SELECT group_concat(lower(hex(x.group_id)), ' ') FROM membership_groups x
        WHERE x.workspace_id = m.workspace_id AND x.user_id = m.user_id), ''),
    coalesce((SELECT group_concat(lower(hex(x.unit_id)), ' ') FROM membership_units x
        WHERE x.workspace_id = m.workspace_id AND x.user_id = m.user_id), '')
    FROM memberships m;
DROP TABLE memberships;
ALTER TABLE memberships_anew RENAME TO memberships;
CREATE UNIQUE INDEX memberships_internal ON memberships (user_id) WHERE kind = 'INTERNAL';
CREATE UNIQUE INDEX memberships_external_id ON memberships (workspace_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX memberships_user ON memberships (user_id, workspace_id);

-- The members who have a role. A role belongs to one workspace, so that the role and the user name the membership.
CREATE TABLE membership_roles_anew (
    role_id BLOB NOT NULL REFERENCES roles (id),
    user_id BLOB NOT NULL,
    PRIMARY KEY (role_id, user_id)
) STRICT, WITHOUT ROWID;
INSERT INTO membership_roles_anew SELECT role_id, user_id FROM membership_roles ORDER BY role_id, user_id;
DROP TABLE membership_roles;
ALTER TABLE membership_roles_anew RENAME TO membership_roles;

-- The members who are in a group, likewise.
CREATE TABLE membership_groups_anew (
    group_id BLOB NOT NULL REFERENCES groups (id),
    user_id BLOB NOT NULL,
    PRIMARY KEY (group_id, user_id)
) STRICT, WITHOUT ROWID;
INSERT INTO membership_groups_anew SELECT group_id, user_id FROM membership_groups ORDER BY group_id, user_id;
DROP TABLE membership_groups;
ALTER TABLE membership_groups_anew RENAME TO membership_groups;

DROP TABLE membership_units;

-- An account is found by one tree, not by two.
CREATE TABLE users_anew (
    id BLOB NOT NULL PRIMARY KEY,
    home_id BLOB NOT NULL REFERENCES workspaces (id),
    created_in BLOB NOT NULL REFERENCES workspaces (id),
    state TEXT NOT NULL CONSTRAINT users_state CHECK (state IN ('ACTIVE', 'SUSPENDED', 'DEACTIVATED', 'ERASED')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (id, home_id)
) STRICT, WITHOUT ROWID;
INSERT INTO users_anew SELECT * FROM users ORDER BY id;
DROP TABLE users;
ALTER TABLE users_anew RENAME TO users;
