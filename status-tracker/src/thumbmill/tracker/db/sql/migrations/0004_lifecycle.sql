-- What ends: tries, forms, rows; and what goes with a deleted image at once.

SET LOCAL statement_timeout = 0;            -- an index of ten million rows takes its time

ALTER TABLE images
    ADD COLUMN missing jsonb NOT NULL DEFAULT '[]',      -- keys of variants that are gone and being made again
    ADD COLUMN form text,                                -- ETag/bytes/SHA-256 of what a form brought; `spent`: it may bring none
    ADD COLUMN withdrawn text;                           -- source of an object under the key that counts as none

-- What may be purged, the oldest first.
CREATE INDEX images_deleted ON images (updated_at) WHERE status = 'DELETED' AND variants_removed;
CREATE INDEX images_awaiting ON images (expires_at) WHERE status = 'AWAITING_UPLOAD';
-- Facts that may be told of an image without a row.
CREATE INDEX events_strays ON events (recorded, id)
    WHERE type IN ('image.removed', 'image.redriven', 'image.dropped', 'image.retry_requested', 'image.variants_missing')
        OR starts_with(type, 'storage.ObjectRemoved:');

-- Nobody but their writer, who takes personal parts from them with a deletion and purges them with their image.
GRANT UPDATE (data), DELETE ON events TO status_tracker;
GRANT DELETE ON images TO status_tracker;

-- Replaced, not dropped: grants stay, and no gateway finds it missing. So what is new comes last.
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

-- Images that were deleted before this was done with the deletion; the names are those of facts.py.
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
