-- +goose Up

-- What robots and people sign in with instead of a password. A robot has neither
-- source nor user. entry tells the user from a later one of the same name. may is a
-- list in JSON.
CREATE TABLE access_keys (
    id         TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    name       TEXT   COLLATE "C" NOT NULL,
    source     TEXT   COLLATE "C" NOT NULL,
    user_name  TEXT   COLLATE "C" NOT NULL,
    entry      TEXT   NOT NULL,
    may        TEXT   NOT NULL,
    hash       BYTEA  NOT NULL,
    old_hash   BYTEA,
    old_until  BIGINT,
    created_at BIGINT NOT NULL,
    secret_at  BIGINT NOT NULL,
    expires_at BIGINT,
    used_at    BIGINT
);
CREATE UNIQUE INDEX access_keys_owner ON access_keys (source, user_name, name);
CREATE INDEX access_keys_expires_at ON access_keys (expires_at, id);
