-- Groups of Internals and the roles that they carry.
CREATE TABLE groups (
    id uuid NOT NULL PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    handle text COLLATE "C" NOT NULL,
    display_name text NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT groups_handle UNIQUE (workspace_id, handle)
);

CREATE TABLE group_roles (
    group_id uuid NOT NULL REFERENCES groups (id),
    role_id uuid NOT NULL REFERENCES roles (id),
    PRIMARY KEY (group_id, role_id)
);
CREATE INDEX group_roles_role ON group_roles (role_id);

-- Until now there were no groups, so no row is in the way of the key.
ALTER TABLE membership_groups ADD CONSTRAINT membership_groups_group_id_fkey
    FOREIGN KEY (group_id) REFERENCES groups (id);
CREATE INDEX membership_groups_group ON membership_groups (group_id, user_id);

-- The relationships of a workspace are listed from either side.
-- What two workspaces agreed last is read for every check.
CREATE INDEX relationships_pair ON relationships (host_id, home_id);
CREATE INDEX relationships_host ON relationships (host_id, id);
CREATE INDEX relationships_home ON relationships (home_id, id);
-- What a host and a home agreed last decides access, also once it has ended.
CREATE INDEX relationships_agreed ON relationships (host_id, home_id, ended_at) WHERE answered_at IS NOT NULL;
-- Whether the host found its home by a person, and is not told whose home it is before the home says yes.
ALTER TABLE relationships ADD COLUMN home_withheld boolean NOT NULL DEFAULT false;
