-- +goose Up

-- The repository of manifest, here once more: many repositories name the same
-- blobs, and a question about one of them must not walk over the others.
ALTER TABLE manifest_refs ADD COLUMN repo BIGINT;
UPDATE manifest_refs SET repo = m.repo FROM manifests m WHERE m.id = manifest_refs.manifest;
DROP INDEX manifest_refs_digest;
CREATE INDEX manifest_refs_digest ON manifest_refs (repo, digest);

-- For programs that do not know the column.
-- +goose StatementBegin
CREATE FUNCTION manifest_refs_repo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.repo := (SELECT m.repo FROM manifests m WHERE m.id = NEW.manifest);
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER manifest_refs_repo BEFORE INSERT ON manifest_refs
    FOR EACH ROW WHEN (NEW.repo IS NULL) EXECUTE FUNCTION manifest_refs_repo();

CREATE TABLE refresh_tokens (
    id         TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    hash       BYTEA  NOT NULL,
    source     TEXT   COLLATE "C" NOT NULL,
    user_name  TEXT   COLLATE "C" NOT NULL,
    stamp      BYTEA  NOT NULL,
    service    TEXT   NOT NULL,
    client     TEXT   NOT NULL,
    issued_at  BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_name, id);
CREATE INDEX refresh_tokens_source ON refresh_tokens (source, user_name);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at, id);
