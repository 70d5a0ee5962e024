-- +goose Up

-- The repository of manifest, here once more: many repositories name the same
-- blobs, and a question about one of them must not walk over the others.
ALTER TABLE manifest_refs ADD COLUMN repo INTEGER;
UPDATE manifest_refs SET repo = (SELECT m.repo FROM manifests m WHERE m.id = manifest_refs.manifest);
DROP INDEX manifest_refs_digest;
CREATE INDEX manifest_refs_digest ON manifest_refs (repo, digest);

-- For programs that do not know the column.
-- +goose StatementBegin
CREATE TRIGGER manifest_refs_repo AFTER INSERT ON manifest_refs WHEN NEW.repo IS NULL
BEGIN
    UPDATE manifest_refs SET repo = (SELECT m.repo FROM manifests m WHERE m.id = NEW.manifest)
    WHERE manifest = NEW.manifest AND digest = NEW.digest AND is_manifest = NEW.is_manifest;
END;
-- +goose StatementEnd

CREATE TABLE refresh_tokens (
    id         TEXT    NOT NULL PRIMARY KEY,
    hash       BLOB    NOT NULL,
    source     TEXT    NOT NULL,
    user_name  TEXT    NOT NULL,
    stamp      BLOB    NOT NULL,
    service    TEXT    NOT NULL,
    client     TEXT    NOT NULL,
    issued_at  INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_name, id);
CREATE INDEX refresh_tokens_source ON refresh_tokens (source, user_name);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at, id);
