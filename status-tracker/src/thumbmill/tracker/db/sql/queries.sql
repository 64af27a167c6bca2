-- name: image_columns
id, key, status, object_version, generation, file_name, content_type, expires_at, variants_removed, version,
    presigned_upload, rejected_version, run_id, attempts, next_attempt_at, error, format, width, height, sha256, variants, missing, details,
    damaged, created_at

-- name: lock_images
-- The rows of a batch, in an order that every writer keeps.
SELECT {image_columns}
FROM images
WHERE id = ANY(%(ids)s)
ORDER BY id
FOR UPDATE;

-- name: find_removals
-- Which of these images the timeline knows a removal of.
SELECT DISTINCT image_id AS id
FROM events
WHERE image_id = ANY(%(ids)s) AND (type LIKE 'storage.ObjectRemoved:%%' OR type = 'image.removed');

-- name: write
-- A whole batch in one round trip: facts that the timeline does not know yet, rows that are new (version 0) and rows
-- that changed. Fewer rows written than given: somebody else was first, and the batch is to be redone.
WITH facts AS (
    INSERT INTO events (id, image_id, type, object_version, occurred, recorded_by, data)
    SELECT id, image_id, type, object_version, occurred, recorded_by, data
    FROM jsonb_populate_recordset(NULL::events, %(events)s::jsonb)
    ON CONFLICT (id) DO NOTHING
),
given AS (
    SELECT *
    FROM jsonb_populate_recordset(NULL::images, %(images)s::jsonb)
),
added AS (
    INSERT INTO images (id, key, status, object_version, size, generation, file_name, content_type, run_id, attempts,
        next_attempt_at, error, format, width, height, sha256, variants, missing, details, damaged, variants_removed,
        presigned_upload, rejected_version, expires_at, created_at, updated_at, version)
    SELECT id, key, status, object_version, size, generation, file_name, content_type, run_id, attempts,
        next_attempt_at, error, format, width, height, sha256, variants, missing, details, damaged, variants_removed,
        presigned_upload, rejected_version, expires_at, created_at, clock_timestamp(), 1
    FROM given
    WHERE version = 0
    ON CONFLICT (id) DO NOTHING
    RETURNING id
),
changed AS (
    UPDATE images
    SET key = new.key, status = new.status, object_version = new.object_version, size = new.size, generation = new.generation,
        file_name = new.file_name, content_type = new.content_type, run_id = new.run_id, attempts = new.attempts,
        next_attempt_at = new.next_attempt_at, error = new.error, format = new.format, width = new.width,
        height = new.height, sha256 = new.sha256, variants = new.variants, missing = new.missing,
        details = new.details, damaged = new.damaged, variants_removed = new.variants_removed, presigned_upload = new.presigned_upload,
        rejected_version = new.rejected_version, expires_at = new.expires_at,
        updated_at = clock_timestamp(), version = new.version + 1
    FROM given AS new
    WHERE images.id = new.id AND images.version = new.version AND new.version > 0
    RETURNING images.id
)
SELECT (SELECT count(*) FROM added) + (SELECT count(*) FROM changed) AS written;

-- name: failed_images
-- By id, so that a page goes on where the last one ended.
SELECT {image_columns}
FROM images
WHERE status = 'FAILED' AND id > %(after)s AND error ->> 'code' = ANY(%(codes)s) AND updated_at >= %(since)s
    AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s::uuid[]))
ORDER BY id
LIMIT %(limit)s;

-- name: forget_personal
UPDATE events
SET data = (
    SELECT coalesce(jsonb_object_agg(name, value), '{}')
    FROM jsonb_each(data) AS parts (name, value)
    WHERE name = ANY(%(lasting)s)
)
WHERE image_id = ANY(%(ids)s) AND EXISTS (
    SELECT FROM jsonb_object_keys(data) AS name WHERE name <> ALL(%(lasting)s)
);

-- name: purge_deleted
-- A row with its timeline, the oldest first. A form that could still bring a file keeps its row.
WITH old AS (
    SELECT id
    FROM images
    WHERE status = 'DELETED' AND variants_removed AND updated_at < clock_timestamp() - %(age)s
        AND (expires_at IS NULL OR expires_at < clock_timestamp() - %(form_age)s)
    ORDER BY updated_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM images
    WHERE id IN (SELECT id FROM old)
    RETURNING id
),
facts AS (
    DELETE FROM events
    WHERE image_id IN (SELECT id FROM gone)
)
SELECT count(*) AS purged FROM gone;

-- name: purge_expired
-- Tickets that were never used, with their timeline.
WITH old AS (
    SELECT id
    FROM images
    WHERE status = 'AWAITING_UPLOAD' AND expires_at < clock_timestamp() - %(age)s
    ORDER BY expires_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM images
    WHERE id IN (SELECT id FROM old)
    RETURNING id
),
facts AS (
    DELETE FROM events
    WHERE image_id IN (SELECT id FROM gone)
)
SELECT count(*) AS purged FROM gone;

-- name: purge_stray_facts
-- Facts without an image: of what never had a row, or was purged. Gives how far it has looked.
WITH page AS (
    SELECT id, image_id, recorded
    FROM events
    WHERE (
            type IN (
                'image.removed', 'image.redriven', 'image.dropped', 'image.retry_requested', 'image.variants_missing'
            )
            OR starts_with(type, 'storage.ObjectRemoved:')
        )
        AND (recorded, id) > (%(recorded)s, %(id)s) AND recorded < clock_timestamp() - %(age)s
    ORDER BY recorded, id
    LIMIT %(limit)s
),
gone AS (
    DELETE FROM events
    WHERE id IN (
        SELECT id FROM page WHERE NOT EXISTS (SELECT FROM images WHERE images.id = page.image_id)
    )
    RETURNING id
)
SELECT recorded, id, (SELECT count(*) FROM gone) AS purged
FROM page
ORDER BY recorded DESC, id DESC
LIMIT 1;

-- name: find_events
SELECT id
FROM events
WHERE id = ANY(%(ids)s);

-- name: catch_up
-- Back to an earlier time, too: then a clock that was ahead has been set right, and with the later time the gateway
-- would say 404 of images that nobody has heard of yet.
UPDATE progress
SET caught_up_to = %(time)s;

-- name: claim_overdue
-- Images that nobody has acted upon for a while. Claimed, so that two sweeps never announce one twice, and for as
-- long again, so that no sweep does.
UPDATE images
SET republished_at = clock_timestamp()
WHERE id IN (
    SELECT id
    FROM images
    WHERE (status = 'PENDING' OR (status = 'DELETED' AND NOT variants_removed))
        AND updated_at < clock_timestamp() - %(age)s
        AND (republished_at IS NULL OR republished_at < clock_timestamp() - %(age)s)
    ORDER BY updated_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING {image_columns};

-- name: read_progress
SELECT greatest(caught_up_to, 'epoch') AS caught_up_to
FROM progress;

-- name: find_images
SELECT {image_columns}
FROM images
WHERE id = ANY(%(ids)s);

-- name: live_images
-- Rows that say there is an object, in the order in which MinIO lists. An upper end of null is none.
SELECT id, key, object_version
FROM images
WHERE status IN ('PENDING', 'PROCESSING', 'DONE', 'FAILED')
    AND key COLLATE "C" > %(after)s AND (%(upto)s::text IS NULL OR key COLLATE "C" <= %(upto)s)
ORDER BY key COLLATE "C"
LIMIT %(limit)s;

-- name: done_images
-- Rows that say there are variants, in the order in which MinIO lists these.
SELECT id, key, object_version, jsonb_path_query_array(variants, '$[*].key') AS variants
FROM images
WHERE status = 'DONE' AND id > %(after)s AND (%(upto)s::uuid IS NULL OR id <= %(upto)s)
ORDER BY id
LIMIT %(limit)s;

-- name: claim
-- Take an image that is to be made again, unless it was announced again just now.
UPDATE images
SET republished_at = clock_timestamp()
WHERE id = %(id)s AND (republished_at IS NULL OR republished_at < clock_timestamp() - %(age)s)
RETURNING id;

-- name: claim_stuck
-- Images that the thumbnailer should have finished long ago, claimed as by the sweep; how long ago, the tracker says by
-- what it has seen. While messages wait in the image queue, only those whose message cannot be among them: an image
-- that was told of much later has had its turn.
WITH seen AS (
    SELECT least(clock_timestamp(), caught_up_to) - %(age)s AS upto
    FROM progress
),
newest AS (
    SELECT id
    FROM (
        (SELECT id, created_at FROM images WHERE status = 'PROCESSING' ORDER BY created_at DESC, id DESC LIMIT 1)
        UNION ALL
        (SELECT id, created_at FROM images WHERE status = 'DONE' ORDER BY created_at DESC, id DESC LIMIT 1)
        UNION ALL
        (SELECT id, created_at FROM images WHERE status = 'FAILED' ORDER BY created_at DESC, id DESC LIMIT 1)
    ) AS begun
    ORDER BY created_at DESC, id DESC
    LIMIT 1
),
turn AS (
    SELECT min(recorded) AS reached
    FROM events
    WHERE image_id = (SELECT id FROM newest)
)
UPDATE images
SET republished_at = clock_timestamp()
WHERE id IN (
    SELECT id
    FROM images
    WHERE (status IN ('PENDING', 'PROCESSING') OR (status = 'DELETED' AND NOT variants_removed))
        AND greatest(updated_at, next_attempt_at, republished_at) < (SELECT upto FROM seen)
        AND (%(idle)s OR greatest(updated_at, republished_at) < (SELECT reached FROM turn) - %(age)s)
    ORDER BY updated_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING {image_columns};

-- name: find_position
SELECT bucket, last_key, last_id, objects, step,
    greatest(0, extract(epoch FROM next_step_at - clock_timestamp()))::float8 AS due_in,
    extract(epoch FROM clock_timestamp() - pass_ended)::float8 AS rested
FROM reconciliation;

-- name: save_position
-- No row comes back if somebody else has taken the step.
UPDATE reconciliation
SET bucket = %(bucket)s, last_key = %(last_key)s, last_id = %(last_id)s, objects = %(objects)s, step = step + 1,
    next_step_at = clock_timestamp() + %(pause)s,
    pass_began = CASE WHEN %(began)s THEN clock_timestamp() ELSE pass_began END,
    pass_ended = CASE WHEN %(ended)s THEN clock_timestamp() ELSE pass_ended END
WHERE step = %(step)s
RETURNING step;

-- name: try_lock
SELECT pg_try_advisory_lock(%(number)s) AS locked;

-- name: unlock
SELECT pg_advisory_unlock(%(number)s);
