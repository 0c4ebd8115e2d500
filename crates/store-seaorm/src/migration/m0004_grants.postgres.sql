-- What a member was given stands in the row of the membership, since every check reads it: lists of words with a blank between
-- two, ids as 32 hexadecimal digits. The tables of roles, permissions and groups lead back from these to the members.
ALTER TABLE memberships ADD COLUMN roles text NOT NULL DEFAULT '', ADD COLUMN permissions text NOT NULL DEFAULT '',
    ADD COLUMN groups text NOT NULL DEFAULT '', ADD COLUMN units text NOT NULL DEFAULT '';
UPDATE memberships m SET
    roles = coalesce((SELECT string_agg(replace(x.role_id::text, '-', ''), ' ') FROM membership_roles x
        WHERE x.workspace_id = m.workspace_id AND x.user_id = m.user_id), ''),
    permissions = coalesce((SELECT string_agg(x.permission, ' ') FROM membership_permissions x
        WHERE x.workspace_id = m.workspace_id AND x.user_id = m.user_id), ''),
    groups = coalesce((SELECT string_agg(replace(x.group_id::text, '-', ''), ' ') FROM membership_groups x
        WHERE x.workspace_id = m.workspace_id AND x.user_id = m.user_id), ''),
    units = coalesce((SELECT string_agg(replace(x.unit_id::text, '-', ''), ' ') FROM membership_units x
        WHERE x.workspace_id = m.workspace_id AND x.user_id = m.user_id), '');
-- Whoever writes a membership says what it was given.
ALTER TABLE memberships ALTER COLUMN roles DROP DEFAULT, ALTER COLUMN permissions DROP DEFAULT,
    ALTER COLUMN groups DROP DEFAULT, ALTER COLUMN units DROP DEFAULT;
ALTER TABLE memberships DROP CONSTRAINT memberships_kind, ADD CONSTRAINT memberships_kind CHECK (
    (kind = 'INTERNAL' AND home_id = workspace_id AND home_id IS NOT NULL AND state IS NULL
        AND language IS NULL AND expires_at IS NULL AND sponsor IS NULL)
    OR (kind = 'EXTERNAL' AND home_id IS NULL AND state IS NOT NULL AND groups = '' AND units = '')
);

-- The members who have a role. A role belongs to one workspace, so that the role and the user name the membership.
ALTER TABLE membership_roles RENAME TO membership_roles_before;
CREATE TABLE membership_roles (
    role_id uuid NOT NULL REFERENCES roles (id),
    user_id uuid NOT NULL,
    CONSTRAINT membership_roles_key PRIMARY KEY (role_id, user_id)
);
INSERT INTO membership_roles SELECT role_id, user_id FROM membership_roles_before ORDER BY role_id, user_id;
DROP TABLE membership_roles_before;

-- The members who are in a group, likewise.
ALTER TABLE membership_groups RENAME TO membership_groups_before;
CREATE TABLE membership_groups (
    group_id uuid NOT NULL REFERENCES groups (id),
    user_id uuid NOT NULL,
    CONSTRAINT membership_groups_key PRIMARY KEY (group_id, user_id)
);
INSERT INTO membership_groups SELECT group_id, user_id FROM membership_groups_before ORDER BY group_id, user_id;
DROP TABLE membership_groups_before;

DROP TABLE membership_units;
