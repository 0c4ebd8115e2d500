-- Groups of Internals and the roles that they carry.
CREATE TABLE groups (
    id BLOB NOT NULL PRIMARY KEY,
    workspace_id BLOB NOT NULL REFERENCES workspaces (id),
    handle TEXT NOT NULL,
    display_name TEXT NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (workspace_id, handle)
) STRICT;

CREATE TABLE group_roles (
    group_id BLOB NOT NULL REFERENCES groups (id),
    role_id BLOB NOT NULL REFERENCES roles (id),
    PRIMARY KEY (group_id, role_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_roles_role ON group_roles (role_id);

-- SQLite adds no key to a table that is there. Until now there were no groups, so the table is empty and is made anew.
DROP TABLE membership_groups;
CREATE TABLE membership_groups (
    workspace_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    group_id BLOB NOT NULL REFERENCES groups (id),
    PRIMARY KEY (workspace_id, user_id, group_id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES memberships (workspace_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_groups_group ON membership_groups (group_id, user_id);

-- The relationships of a workspace are listed from either side.
-- What two workspaces agreed last is read for every check.
CREATE INDEX relationships_pair ON relationships (host_id, home_id);
CREATE INDEX relationships_host ON relationships (host_id, id);
CREATE INDEX relationships_home ON relationships (home_id, id);
-- What a host and a home agreed last decides access, also once it has ended.
CREATE INDEX relationships_agreed ON relationships (host_id, home_id, ended_at) WHERE answered_at IS NOT NULL;
-- Whether the host found its home by a person, and is not told whose home it is before the home says yes.
ALTER TABLE relationships ADD COLUMN home_withheld INTEGER NOT NULL DEFAULT 0;
