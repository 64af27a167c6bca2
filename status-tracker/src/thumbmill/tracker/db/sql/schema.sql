-- The database as the migrations leave it, for people to read; a test keeps the two equal.

CREATE TABLE schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    applied timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE images (
    id uuid PRIMARY KEY,                    -- a function of the key
    key text NOT NULL,
    status text NOT NULL CHECK (
        status IN ('AWAITING_UPLOAD', 'EXPIRED', 'PENDING', 'PROCESSING', 'DONE', 'FAILED', 'DELETED')
    ),
    object_version text,                    -- ETag/bytes/seconds since 1970; null: there never was an object
    size bigint,                            -- bytes
    generation integer NOT NULL,
    file_name text,
    content_type text,
    run_id text NOT NULL,
    attempts integer NOT NULL,
    next_attempt_at timestamptz,
    error jsonb,
    format text,
    width integer,                          -- pixels
    height integer,                         -- pixels
    sha256 text,
    variants jsonb NOT NULL,
    variants_removed boolean NOT NULL,      -- of a DELETED image
    expires_at timestamptz,                 -- of the presigned form
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version bigint NOT NULL,                -- grows with every change
    republished_at timestamptz,             -- when its event was last republished: no change of the image
    details jsonb,                          -- null unless DONE, and for images of old thumbnailers
    damaged boolean NOT NULL DEFAULT false, -- DONE though parts of the file could not be read
    missing jsonb NOT NULL DEFAULT '[]',    -- keys of variants that are missing and being generated again
    presigned_upload text,                  -- ETag/bytes/SHA-256 of what the form stored; `spent`: it stores nothing more
    rejected_version text,                  -- an object under the key that counts as missing
    batch text,                             -- the label that its client gave to a batch of uploads
    change bigint,                          -- seq of its last change; null: none since the feed exists
    CHECK ((status IN ('AWAITING_UPLOAD', 'EXPIRED')) = (object_version IS NULL))
);

CREATE INDEX images_newest ON images (created_at DESC, id DESC);
CREATE INDEX images_newest_by_status ON images (status, created_at DESC, id DESC);
CREATE INDEX images_unfinished ON images (updated_at)
    WHERE status IN ('PENDING', 'PROCESSING') OR (status = 'DELETED' AND NOT variants_removed);

-- For reconciliation alone, in the order in which MinIO lists: every other query by key is one by ID.
CREATE INDEX images_live_by_key ON images (key COLLATE "C")
    WHERE status IN ('PENDING', 'PROCESSING', 'DONE', 'FAILED');

-- Rows to purge, the oldest first.
CREATE INDEX images_deleted ON images (updated_at) WHERE status = 'DELETED' AND variants_removed;
CREATE INDEX images_awaiting ON images (status, expires_at) WHERE status IN ('AWAITING_UPLOAD', 'EXPIRED');

CREATE INDEX images_of_batch ON images (batch, created_at DESC, id DESC) WHERE batch IS NOT NULL;

CREATE TABLE events (
    id uuid PRIMARY KEY,                    -- a function of the event, so an event that comes twice is one row
    image_id uuid NOT NULL,                 -- no foreign key: a removal may come for an image without a row
    type text NOT NULL,
    object_version text,
    occurred timestamptz NOT NULL,
    recorded timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by text NOT NULL,
    data jsonb NOT NULL
);

CREATE INDEX events_of_image ON events (image_id, recorded);

-- Events that may come for an image without a row.
CREATE INDEX events_strays ON events (recorded, id)
    WHERE type IN ('image.removed', 'image.redriven', 'image.dropped', 'image.retry_requested', 'image.variants_missing')
        OR starts_with(type, 'storage.ObjectRemoved:');

-- Each writer of changes locks this row until it commits. So seq has no gaps, and grows in the order of commits: a
-- reader that continues after the last seq it saw misses nothing. A sequence would not do: numbers are taken in
-- another order than transactions commit in.
CREATE TABLE feed (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch text NOT NULL,                    -- new after a restore: the same numbers then name other changes
    last bigint NOT NULL,                   -- seq of the newest change; 0: there was none
    oldest bigint NOT NULL                  -- seq of the oldest that is kept; last + 1: none is
);

INSERT INTO feed (epoch, last, oldest) VALUES (left(md5(gen_random_uuid()::text), 8), 0, 1);

CREATE TABLE changes (
    seq bigint PRIMARY KEY,
    image_id uuid NOT NULL,                 -- no foreign key: changes may outlive their image
    version bigint NOT NULL,                -- of the image
    generation integer NOT NULL,
    type text NOT NULL,                     -- image.awaiting_upload, .pending, .processing, .retrying, .done, …
    batch text,
    at timestamptz NOT NULL,
    data jsonb NOT NULL,                    -- the image after the change, as image_status shows it
    UNIQUE (image_id, version)
);

CREATE INDEX changes_of_batch ON changes (batch, seq) WHERE batch IS NOT NULL;

CREATE TABLE progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    caught_up_to timestamptz NOT NULL
);

INSERT INTO progress (caught_up_to) VALUES ('-infinity');

CREATE TABLE reconciliation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    bucket text NOT NULL,                   -- which of the two is being scanned
    last_key text NOT NULL,                 -- compared so far, in the order of its bytes
    last_id uuid,                           -- the same of rows, in the bucket of variants
    objects bigint NOT NULL,                -- compared in this pass
    step bigint NOT NULL,                   -- grows with every page: no two trackers take the same one
    next_step_at timestamptz NOT NULL,      -- limits the rate of all trackers together
    pass_began timestamptz,
    pass_ended timestamptz                  -- of the last complete one
);

INSERT INTO reconciliation (bucket, last_key, objects, step, next_step_at)
VALUES ('images-original', '', 0, 0, 'epoch');

-- What operators ask for: a pass of reconciliation, retries of FAILED images.
CREATE TABLE operator_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order in which requests of a kind run
    kind text NOT NULL CHECK (kind IN ('reconciliation', 'retry')),
    parameters jsonb NOT NULL,
    dry_run boolean NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
    report jsonb,                           -- what has been found so far
    position jsonb,                         -- where another tracker continues
    error text NOT NULL DEFAULT '',         -- why it failed
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX operator_requests_open ON operator_requests (kind, id) WHERE state IN ('waiting', 'running');

-- An unused form is stored as EXPIRED once that is recorded as an event; until then this view shows it. An upload that
-- was accepted in the form's last moment may still be sending its bytes, hence the minute.
CREATE VIEW image_status AS
SELECT
    id, key,
    CASE
        WHEN status = 'AWAITING_UPLOAD' AND now() > expires_at + interval '1 minute' THEN 'EXPIRED'
        ELSE status
    END AS status,
    status AS stored_status,                -- has an index
    file_name, content_type, size, object_version, generation, format, width, height, sha256, variants,
    attempts, next_attempt_at, error, created_at, updated_at, expires_at, version,
    details, damaged,
    run_id, missing,
    batch, (SELECT epoch FROM feed) || '-' || change AS event_id
FROM images;

CREATE VIEW image_timeline AS
SELECT image_id, id, type, object_version, occurred, recorded, recorded_by, data
FROM events;

CREATE VIEW image_changes AS
SELECT
    seq, event_id, image_id, version, generation, type, batch, at,
    data || jsonb_build_object('event_id', event_id) AS data
FROM (SELECT *, (SELECT epoch FROM feed) || '-' || seq AS event_id FROM changes) AS numbered;

CREATE VIEW feed_head AS
SELECT epoch, last, oldest
FROM feed;

CREATE VIEW tracker_progress AS
SELECT caught_up_to
FROM progress;

-- An event never changes, except that personal data is removed with its image, and all of it when that is purged.
GRANT SELECT, INSERT, UPDATE, DELETE ON images TO status_tracker;
GRANT SELECT, INSERT, DELETE ON events TO status_tracker;
GRANT UPDATE (data) ON events TO status_tracker;
GRANT SELECT, UPDATE ON feed TO status_tracker;
GRANT SELECT, INSERT, DELETE ON changes TO status_tracker;
GRANT UPDATE (data) ON changes TO status_tracker; -- personal data is removed with its image
GRANT SELECT, UPDATE ON progress TO status_tracker;
GRANT SELECT, UPDATE ON reconciliation TO status_tracker;
GRANT SELECT, INSERT, UPDATE, DELETE ON operator_requests TO status_tracker;
GRANT SELECT ON schema_migrations TO status_tracker;
GRANT SELECT ON image_status, image_timeline, image_changes, feed_head, tracker_progress TO gateway;
