-- +goose Up

-- What robots and people sign in with instead of a password. A robot has neither
-- source nor user. entry tells the user from a later one of the same name. may is a
-- list in JSON.
CREATE TABLE access_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    user_name  TEXT    NOT NULL,
    entry      TEXT    NOT NULL,
    may        TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    old_hash   BLOB,
    old_until  INTEGER,
    created_at INTEGER NOT NULL,
    secret_at  INTEGER NOT NULL,
    expires_at INTEGER,
    used_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX access_keys_owner ON access_keys (source, user_name, name);
CREATE INDEX access_keys_expires_at ON access_keys (expires_at, id);
