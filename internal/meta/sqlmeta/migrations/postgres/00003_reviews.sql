-- +goose Up

-- Blobs to look at from due_at on: does anybody hold them still? There may be
-- content whose blob was never known, so digest refers to nothing.
CREATE TABLE blob_reviews (
    digest TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    due_at BIGINT NOT NULL
);
CREATE INDEX blob_reviews_due_at ON blob_reviews (due_at, digest);
