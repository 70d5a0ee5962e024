-- Times are microseconds since 1970 (UTC). Text is compared byte by byte, which
-- is the BINARY collation and the default.

-- +goose Up

-- has_manifests is true while the repository holds a manifest: the catalog is
-- a partial index, so that it never walks over empty repositories.
CREATE TABLE repositories (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    has_manifests INTEGER NOT NULL DEFAULT FALSE
) STRICT;
CREATE INDEX repositories_catalog ON repositories (name) WHERE has_manifests;

CREATE TABLE blobs (
    digest     TEXT    NOT NULL PRIMARY KEY,
    size       INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- repo_name is the name of repo, here once more so that the holders of a blob
-- come out of an index in byte order. Repositories are never renamed.
CREATE TABLE blob_links (
    repo      INTEGER NOT NULL REFERENCES repositories (id),
    digest    TEXT    NOT NULL REFERENCES blobs (digest),
    repo_name TEXT    NOT NULL,
    linked_at INTEGER NOT NULL,
    PRIMARY KEY (repo, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_links_holders ON blob_links (digest, repo_name);

-- body stands last: SQLite reads the pages behind it only for those who ask.
CREATE TABLE manifests (
    id            INTEGER PRIMARY KEY,
    repo          INTEGER NOT NULL REFERENCES repositories (id),
    digest        TEXT    NOT NULL,
    media_type    TEXT    NOT NULL,
    artifact_type TEXT    NOT NULL,
    subject       TEXT,
    annotations   TEXT    NOT NULL, -- a JSON object, or empty
    size          INTEGER NOT NULL,
    pushed_at     INTEGER NOT NULL,
    body          BLOB    NOT NULL,
    UNIQUE (repo, digest)
) STRICT;
CREATE INDEX manifests_subject ON manifests (repo, subject, digest)
    WHERE subject IS NOT NULL;
CREATE INDEX manifests_subject_type ON manifests (repo, subject, artifact_type, digest)
    WHERE subject IS NOT NULL;

CREATE TABLE manifest_refs (
    manifest    INTEGER NOT NULL REFERENCES manifests (id) ON DELETE CASCADE,
    digest      TEXT    NOT NULL,
    is_manifest INTEGER NOT NULL,
    PRIMARY KEY (manifest, digest, is_manifest)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_refs_digest ON manifest_refs (digest);

CREATE TABLE tags (
    repo     INTEGER NOT NULL REFERENCES repositories (id),
    name     TEXT    NOT NULL,
    manifest INTEGER NOT NULL REFERENCES manifests (id),
    set_at   INTEGER NOT NULL,
    set_by   TEXT    NOT NULL,
    PRIMARY KEY (repo, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_manifest ON tags (manifest, name);

-- Only ever appended to.
CREATE TABLE tag_history (
    id         INTEGER PRIMARY KEY,
    repo       INTEGER NOT NULL REFERENCES repositories (id),
    name       TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    action     TEXT    NOT NULL CHECK (action IN ('set', 'delete')),
    changed_at INTEGER NOT NULL,
    changed_by TEXT    NOT NULL
) STRICT;
CREATE INDEX tag_history_tag ON tag_history (repo, name, id);

-- repo is a name: the repository need not exist before the first blob is in it.
CREATE TABLE uploads (
    id          TEXT    NOT NULL PRIMARY KEY,
    repo        TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    algorithm   TEXT    NOT NULL,
    byte_offset INTEGER NOT NULL,
    hash_state  BLOB,
    store_state BLOB,
    started_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    lease_by    TEXT    NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_expires_at ON uploads (expires_at, id);
CREATE INDEX uploads_owner ON uploads (owner);
CREATE INDEX uploads_leased ON uploads (id) WHERE lease_by <> '';
