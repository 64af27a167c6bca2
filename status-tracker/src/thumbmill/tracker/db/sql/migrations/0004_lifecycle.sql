-- Retention: missing variants, forms that are used up, rows to purge, and what a deleted image's timeline keeps.

SET LOCAL statement_timeout = 0;            -- an index of ten million rows takes its time

ALTER TABLE images
    ADD COLUMN missing jsonb NOT NULL DEFAULT '[]',      -- keys of variants that are missing and being generated again
    ADD COLUMN form text,                                -- ETag/bytes/SHA-256 of what the form stored; `spent`: it stores nothing more
    ADD COLUMN withdrawn text;                           -- source of an object under the key that counts as missing

-- Rows to purge, the oldest first.
CREATE INDEX images_deleted ON images (updated_at) WHERE status = 'DELETED' AND variants_removed;
CREATE INDEX images_awaiting ON images (expires_at) WHERE status = 'AWAITING_UPLOAD';
-- Events that may come for an image without a row.
CREATE INDEX events_strays ON events (recorded, id)
    WHERE type IN ('image.removed', 'image.redriven', 'image.dropped', 'image.retry_requested', 'image.variants_missing')
        OR starts_with(type, 'storage.ObjectRemoved:');

-- The tracker removes personal data from events when an image is deleted, and purges them with its row.
GRANT UPDATE (data), DELETE ON events TO status_tracker;
GRANT DELETE ON images TO status_tracker;

-- Replaced, not dropped: grants stay, and every gateway finds it. So new columns come last.
-- A form that was accepted in its last moment may still be sending its bytes, hence the minute.
CREATE OR REPLACE VIEW image_status AS
SELECT
    id, key,
    CASE
        WHEN status = 'AWAITING_UPLOAD' AND now() > expires_at + interval '1 minute' THEN 'EXPIRED'
        ELSE status
    END AS status,
    status AS stored_status,                -- without EXPIRED: has an index
    file_name, content_type, size, source, generation, format, width, height, sha256, variants,
    attempts, next_attempt_at, error, created_at, updated_at, expires_at, version,
    details, damaged,
    run, missing
FROM images;

-- Images that were deleted by earlier versions; the names are those of RETAINED_DATA in timeline.py.
UPDATE events
SET data = (
    SELECT coalesce(jsonb_object_agg(name, value), '{}')
    FROM jsonb_each(data) AS parts (name, value)
    WHERE name IN ('after', 'attempt', 'cause', 'code', 'expires_at', 'forced', 'next_attempt_at', 'operator',
        'queue', 'run', 'sequencer', 'what')
)
WHERE image_id IN (SELECT id FROM images WHERE status = 'DELETED');
UPDATE images
SET file_name = NULL, content_type = NULL, version = version + 1,
    key = CASE WHEN variants_removed AND key <> 'uploads/' || id || '/original' THEN '' ELSE key END,
    form = CASE WHEN expires_at IS NOT NULL THEN 'spent' END
WHERE status = 'DELETED';
