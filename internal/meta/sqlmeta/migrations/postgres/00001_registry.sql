-- Times are microseconds since 1970 (UTC). Text that lists are ordered by has
-- the collation "C", which compares byte by byte.

-- +goose Up

-- has_manifests is true while the repository holds a manifest: the catalog is
-- a partial index, so that it never walks over empty repositories.
CREATE TABLE repositories (
    id            BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          TEXT    COLLATE "C" NOT NULL UNIQUE,
    has_manifests BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX repositories_catalog ON repositories (name) WHERE has_manifests;

CREATE TABLE blobs (
    digest     TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    size       BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- repo_name is the name of repo, here once more so that the holders of a blob
-- come out of an index in byte order. Repositories are never renamed.
CREATE TABLE blob_links (
    repo      BIGINT NOT NULL REFERENCES repositories (id),
    digest    TEXT   COLLATE "C" NOT NULL REFERENCES blobs (digest),
    repo_name TEXT   COLLATE "C" NOT NULL,
    linked_at BIGINT NOT NULL,
    PRIMARY KEY (repo, digest)
);
CREATE INDEX blob_links_holders ON blob_links (digest, repo_name);

CREATE TABLE manifests (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repo          BIGINT NOT NULL REFERENCES repositories (id),
    digest        TEXT   COLLATE "C" NOT NULL,
    media_type    TEXT   NOT NULL,
    artifact_type TEXT   COLLATE "C" NOT NULL,
    subject       TEXT   COLLATE "C",
    annotations   TEXT   NOT NULL, -- a JSON object, or empty
    size          BIGINT NOT NULL,
    pushed_at     BIGINT NOT NULL,
    body          BYTEA  NOT NULL,
    UNIQUE (repo, digest)
);
CREATE INDEX manifests_subject ON manifests (repo, subject, digest)
    WHERE subject IS NOT NULL;
CREATE INDEX manifests_subject_type ON manifests (repo, subject, artifact_type, digest)
    WHERE subject IS NOT NULL;

CREATE TABLE manifest_refs (
    manifest    BIGINT  NOT NULL REFERENCES manifests (id) ON DELETE CASCADE,
    digest      TEXT    COLLATE "C" NOT NULL,
    is_manifest BOOLEAN NOT NULL,
    PRIMARY KEY (manifest, digest, is_manifest)
);
CREATE INDEX manifest_refs_digest ON manifest_refs (digest);

CREATE TABLE tags (
    repo     BIGINT NOT NULL REFERENCES repositories (id),
    name     TEXT   COLLATE "C" NOT NULL,
    manifest BIGINT NOT NULL REFERENCES manifests (id),
    set_at   BIGINT NOT NULL,
    set_by   TEXT   NOT NULL,
    PRIMARY KEY (repo, name)
);
CREATE INDEX tags_manifest ON tags (manifest, name);

-- Only ever appended to.
CREATE TABLE tag_history (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repo       BIGINT NOT NULL REFERENCES repositories (id),
    name       TEXT   COLLATE "C" NOT NULL,
    digest     TEXT   COLLATE "C" NOT NULL,
    action     TEXT   NOT NULL CHECK (action IN ('set', 'delete')),
    changed_at BIGINT NOT NULL,
    changed_by TEXT   NOT NULL
);
CREATE INDEX tag_history_tag ON tag_history (repo, name, id);

-- repo is a name: the repository need not exist before the first blob is in it.
CREATE TABLE uploads (
    id          TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    repo        TEXT   NOT NULL,
    owner       TEXT   COLLATE "C" NOT NULL,
    algorithm   TEXT   NOT NULL,
    byte_offset BIGINT NOT NULL,
    hash_state  BYTEA,
    store_state BYTEA,
    started_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    lease_by    TEXT   NOT NULL,
    lease_until BIGINT NOT NULL
);
CREATE INDEX uploads_expires_at ON uploads (expires_at, id);
CREATE INDEX uploads_owner ON uploads (owner);
