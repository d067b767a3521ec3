-- +goose Up
-- Identifiers are bytea: they hold any bytes and sort as bytes. Data is sealed before it comes here.

CREATE TABLE meta (
	name  text PRIMARY KEY,
	value bytea NOT NULL
);

-- One row a clinic: the number of its newest event. Locking it orders the clinic's commits.
CREATE TABLE clinic (
	clinic bytea PRIMARY KEY,
	events bigint NOT NULL DEFAULT 0
);

CREATE TABLE record (
	clinic  bytea NOT NULL,
	kind    smallint NOT NULL,
	id      bytea NOT NULL,
	version bigint NOT NULL,
	data    bytea NOT NULL,
	PRIMARY KEY (clinic, kind, id)
);
-- Values are ciphertext: trying to compress them is lost work.
ALTER TABLE record ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE event (
	clinic  bytea NOT NULL,
	seq     bigint NOT NULL,
	subject bytea NOT NULL,
	at_s    bigint NOT NULL,
	at_ns   integer NOT NULL,
	data    bytea NOT NULL,
	PRIMARY KEY (clinic, seq)
);
ALTER TABLE event ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX event_subject ON event (clinic, subject, seq) WHERE subject <> '';

CREATE TABLE effect (
	clinic bytea NOT NULL,
	id     bytea NOT NULL,
	data   bytea NOT NULL,
	PRIMARY KEY (clinic, id)
);
-- Effects come and go within moments: keep the table small.
ALTER TABLE effect SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- +goose Down
DROP TABLE effect, event, record, clinic, meta;
