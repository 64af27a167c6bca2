-- The feed of changes, and the label of a batch of uploads.

SET LOCAL statement_timeout = 0;            -- an index of ten million rows takes its time

ALTER TABLE images
    ADD COLUMN batch text,                               -- the label that its client gave to a batch of uploads
    ADD COLUMN change bigint;                            -- seq of its last change; null: none since the feed exists

-- An unused form is stored as EXPIRED once that is recorded as an event; until then the view shows it.
ALTER TABLE images DROP CONSTRAINT images_status_check, DROP CONSTRAINT images_check;
ALTER TABLE images
    ADD CONSTRAINT images_status_check CHECK (
        status IN ('AWAITING_UPLOAD', 'EXPIRED', 'PENDING', 'PROCESSING', 'DONE', 'FAILED', 'DELETED')
    ),
    ADD CONSTRAINT images_check CHECK ((status IN ('AWAITING_UPLOAD', 'EXPIRED')) = (object_version IS NULL));
DROP INDEX images_awaiting;
CREATE INDEX images_awaiting ON images (status, expires_at) WHERE status IN ('AWAITING_UPLOAD', 'EXPIRED');
CREATE INDEX images_of_batch ON images (batch, created_at DESC, id DESC) WHERE batch IS NOT NULL;

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

-- Replaced, not dropped: grants stay, and every gateway finds it. So new columns come last.
-- An upload that was accepted in the form's last moment may still be sending its bytes, hence the minute.
CREATE OR REPLACE VIEW image_status AS
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

CREATE VIEW image_changes AS
SELECT
    seq, event_id, image_id, version, generation, type, batch, at,
    data || jsonb_build_object('event_id', event_id) AS data
FROM (SELECT *, (SELECT epoch FROM feed) || '-' || seq AS event_id FROM changes) AS numbered;

CREATE VIEW feed_head AS
SELECT epoch, last, oldest
FROM feed;

GRANT SELECT, UPDATE ON feed TO status_tracker;
GRANT SELECT, INSERT, DELETE ON changes TO status_tracker;
GRANT UPDATE (data) ON changes TO status_tracker; -- personal data is removed with its image
GRANT SELECT ON image_changes, feed_head TO gateway;
