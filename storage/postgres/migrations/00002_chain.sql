-- +goose Up
-- Timelines are chained: an event has the digest of what was sealed first, and a hash over the one before. The program
-- fills both in for events that are older, and each clinic's sealed hash of its newest event.
ALTER TABLE event ADD COLUMN digest bytea, ADD COLUMN hash bytea, ADD COLUMN redacted boolean NOT NULL DEFAULT false;
ALTER TABLE clinic ADD COLUMN head bytea;

-- +goose Down
ALTER TABLE clinic DROP COLUMN head;
ALTER TABLE event DROP COLUMN digest, DROP COLUMN hash, DROP COLUMN redacted;
