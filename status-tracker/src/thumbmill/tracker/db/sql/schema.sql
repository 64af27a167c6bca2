-- The database as the migrations leave it, for people to read; a test holds the two equal.

CREATE TABLE schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    applied timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE images (
    id uuid PRIMARY KEY,                    -- a function of the key: whoever has a key has the id
    key text NOT NULL,
    status text NOT NULL CHECK (status IN ('AWAITING_UPLOAD', 'PENDING', 'PROCESSING', 'DONE', 'FAILED', 'DELETED')),
    object_version text,                    -- ETag/bytes/seconds since 1970 of the object; null: there never was one
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
    expires_at timestamptz,                 -- of a ticket
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version bigint NOT NULL,                -- grows with every change
    republished_at timestamptz,             -- when the sweep last announced it again: no change of the image
    details jsonb,                          -- null unless DONE, and where nobody looked yet
    damaged boolean NOT NULL DEFAULT false, -- DONE though parts of the file could not be read
    missing jsonb NOT NULL DEFAULT '[]',    -- keys of variants that are gone and being made again
    presigned_upload text,                  -- ETag/bytes/SHA-256 of what a form brought; `spent`: it may bring none
    rejected_version text,                  -- source of an object under the key that counts as none
    CHECK ((status = 'AWAITING_UPLOAD') = (object_version IS NULL))
);

CREATE INDEX images_newest ON images (created_at DESC, id DESC);
CREATE INDEX images_newest_by_status ON images (status, created_at DESC, id DESC);
CREATE INDEX images_unfinished ON images (updated_at)
    WHERE status IN ('PENDING', 'PROCESSING') OR (status = 'DELETED' AND NOT variants_removed);

-- For reconciliation alone, in the order in which MinIO lists: every other question about a key is one about its id.
CREATE INDEX images_live_by_key ON images (key COLLATE "C")
    WHERE status IN ('PENDING', 'PROCESSING', 'DONE', 'FAILED');

-- What may be purged, the oldest first.
CREATE INDEX images_deleted ON images (updated_at) WHERE status = 'DELETED' AND variants_removed;
CREATE INDEX images_awaiting ON images (expires_at) WHERE status = 'AWAITING_UPLOAD';

CREATE TABLE events (
    id uuid PRIMARY KEY,                    -- follows from what is said, so a fact told twice is one row
    image_id uuid NOT NULL,                 -- no reference: a removal may come for what never was
    type text NOT NULL,
    object_version text,
    occurred timestamptz NOT NULL,
    recorded timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by text NOT NULL,
    data jsonb NOT NULL
);

CREATE INDEX events_of_image ON events (image_id, recorded);

-- Facts that may be told of an image without a row.
CREATE INDEX events_strays ON events (recorded, id)
    WHERE type IN ('image.removed', 'image.redriven', 'image.dropped', 'image.retry_requested', 'image.variants_missing')
        OR starts_with(type, 'storage.ObjectRemoved:');

CREATE TABLE progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    caught_up_to timestamptz NOT NULL
);

INSERT INTO progress (caught_up_to) VALUES ('-infinity');

CREATE TABLE reconciliation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    bucket text NOT NULL,                   -- which of the two is being gone through
    last_key text NOT NULL,                 -- compared so far, in the order of its bytes
    last_id uuid,                           -- the same of rows, in the bucket of variants
    objects bigint NOT NULL,                -- seen in this pass
    step bigint NOT NULL,                   -- grows with every page: two never take the same one
    next_step_at timestamptz NOT NULL,      -- which bounds them all, however many trackers there are
    pass_began timestamptz,
    pass_ended timestamptz                  -- the last one that came to its end
);

INSERT INTO reconciliation (bucket, last_key, objects, step, next_step_at)
VALUES ('images-original', '', 0, 0, 'epoch');

-- A form that was accepted in its last moment may still be sending its bytes, hence the minute.
CREATE VIEW image_status AS
SELECT
    id, key,
    CASE
        WHEN status = 'AWAITING_UPLOAD' AND now() > expires_at + interval '1 minute' THEN 'EXPIRED'
        ELSE status
    END AS status,
    status AS stored_status,                -- without EXPIRED: has an index
    file_name, content_type, size, object_version, generation, format, width, height, sha256, variants,
    attempts, next_attempt_at, error, created_at, updated_at, expires_at, version,
    details, damaged,
    run_id, missing
FROM images;

CREATE VIEW image_timeline AS
SELECT image_id, id, type, object_version, occurred, recorded, recorded_by, data
FROM events;

CREATE VIEW tracker_progress AS
SELECT caught_up_to
FROM progress;

-- A fact is never changed, but that personal parts go with a deletion, and all of it when its image is purged.
GRANT SELECT, INSERT, UPDATE, DELETE ON images TO status_tracker;
GRANT SELECT, INSERT, DELETE ON events TO status_tracker;
GRANT UPDATE (data) ON events TO status_tracker;
GRANT SELECT, UPDATE ON progress TO status_tracker;
GRANT SELECT, UPDATE ON reconciliation TO status_tracker;
GRANT SELECT ON schema_migrations TO status_tracker;
GRANT SELECT ON image_status, image_timeline, tracker_progress TO gateway;
