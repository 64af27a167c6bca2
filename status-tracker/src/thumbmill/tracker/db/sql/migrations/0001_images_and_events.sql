-- Images, the events from which their rows follow, and the views of both for the gateway.

CREATE TABLE images (
    id uuid PRIMARY KEY,                    -- a function of the key
    key text NOT NULL,
    status text NOT NULL CHECK (status IN ('AWAITING_UPLOAD', 'PENDING', 'PROCESSING', 'DONE', 'FAILED', 'DELETED')),
    source text,                            -- ETag/bytes/seconds since 1970 of the object; null: there never was one
    size bigint,                            -- bytes
    generation integer NOT NULL,
    file_name text,
    content_type text,
    run text NOT NULL,
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
    recovered_at timestamptz,               -- when the sweep last republished its event: no change of the image
    CHECK ((status = 'AWAITING_UPLOAD') = (source IS NULL))
);

-- No index on the key: it would cost every image a write, and every query by key is one by ID.
CREATE INDEX images_newest ON images (created_at DESC, id DESC);
CREATE INDEX images_newest_by_status ON images (status, created_at DESC, id DESC);
CREATE INDEX images_unfinished ON images (updated_at)
    WHERE status = 'PENDING' OR (status = 'DELETED' AND NOT variants_removed);

CREATE TABLE events (
    id uuid PRIMARY KEY,                    -- a function of the event, so an event that comes twice is one row
    image_id uuid NOT NULL,                 -- no foreign key: a removal may come for an image without a row
    type text NOT NULL,
    source text,
    occurred timestamptz NOT NULL,
    recorded timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by text NOT NULL,
    data jsonb NOT NULL
);

CREATE INDEX events_of_image ON events (image_id, recorded);

CREATE TABLE progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    caught_up_to timestamptz NOT NULL
);

INSERT INTO progress (caught_up_to) VALUES ('-infinity');

-- A form that was accepted in its last moment may still be sending its bytes, hence the minute.
CREATE VIEW image_status AS
SELECT
    id, key,
    CASE
        WHEN status = 'AWAITING_UPLOAD' AND now() > expires_at + interval '1 minute' THEN 'EXPIRED'
        ELSE status
    END AS status,
    status AS stored_status,                -- without EXPIRED: has an index
    file_name, content_type, size, source, generation, format, width, height, sha256, variants,
    attempts, next_attempt_at, error, created_at, updated_at, expires_at, version
FROM images;

CREATE VIEW image_timeline AS
SELECT image_id, id, type, source, occurred, recorded, recorded_by, data
FROM events;

CREATE VIEW tracker_progress AS
SELECT caught_up_to
FROM progress;

-- Events are never changed, not even by their writer.
GRANT SELECT, INSERT, UPDATE ON images TO status_tracker;
GRANT SELECT, INSERT ON events TO status_tracker;
GRANT SELECT, UPDATE ON progress TO status_tracker;
GRANT SELECT ON schema_migrations TO status_tracker;
GRANT SELECT ON image_status, image_timeline, tracker_progress TO gateway;
