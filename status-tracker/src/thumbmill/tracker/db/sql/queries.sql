-- name: image_columns
id, key, status, object_version, generation, file_name, content_type, expires_at, variants_removed, version,
    presigned_upload, rejected_version, run_id, attempts, next_attempt_at, error, format, width, height, sha256,
    variants, missing, details, damaged, created_at, batch

-- name: request_columns
id, event_id, kind, parameters, dry_run, requested_by, requested_at, state, report, position, error

-- name: lock_images
-- The rows of a batch, locked in an order that every writer keeps.
SELECT {image_columns}
FROM images
WHERE id = ANY(%(ids)s)
ORDER BY id
FOR UPDATE;

-- name: find_removals
-- Which of these images have a removal in their timeline.
SELECT DISTINCT image_id AS id
FROM events
WHERE image_id = ANY(%(ids)s) AND (type LIKE 'storage.ObjectRemoved:%%' OR type = 'image.removed');

-- name: write
-- A whole batch in one round trip: events that the timeline does not have yet, rows that are new (version 0) and rows
-- that changed, and the changes that readers of the feed see (`changed`, with their types). If fewer rows are written
-- than given, another writer was first, and the batch must be redone. The lock of feed's row is taken before any other
-- in this statement, and kept to the end of the transaction; without a change to number it is not taken.
WITH head AS (
    UPDATE feed
    SET last = last + cardinality(%(changed)s::uuid[])
    WHERE cardinality(%(changed)s::uuid[]) > 0
    RETURNING last
),
numbered AS (
    SELECT image_id, type, head.last - cardinality(%(changed)s::uuid[]) + position AS seq
    FROM head, unnest(%(changed)s::uuid[], %(types)s::text[]) WITH ORDINALITY AS changed (image_id, type, position)
),
given AS (
    SELECT new.*, numbered.seq
    FROM jsonb_populate_recordset(NULL::images, %(images)s::jsonb) AS new
    LEFT JOIN numbered ON numbered.image_id = new.id
),
added AS (
    -- The version continues that of changes of a purged image with the same key, which readers may know.
    INSERT INTO images (id, key, status, object_version, size, generation, file_name, content_type, run_id, attempts,
        next_attempt_at, error, format, width, height, sha256, variants, missing, details, damaged, variants_removed,
        presigned_upload, rejected_version, expires_at, created_at, batch, tenant, change, updated_at, version)
    SELECT id, key, status, object_version, size, generation, file_name, content_type, run_id, attempts,
        next_attempt_at, error, format, width, height, sha256, variants, missing, details, damaged, variants_removed,
        presigned_upload, rejected_version, expires_at, created_at, batch, tenant, seq, clock_timestamp(),
        1 + coalesce((SELECT max(version) FROM changes WHERE image_id = given.id), 0)
    FROM given
    WHERE version = 0
    ON CONFLICT (id) DO NOTHING
    RETURNING *
),
updated AS (
    UPDATE images
    SET key = new.key, status = new.status, object_version = new.object_version, size = new.size,
        generation = new.generation, file_name = new.file_name, content_type = new.content_type, run_id = new.run_id,
        attempts = new.attempts, next_attempt_at = new.next_attempt_at, error = new.error, format = new.format,
        width = new.width, height = new.height, sha256 = new.sha256, variants = new.variants, missing = new.missing,
        details = new.details, damaged = new.damaged, variants_removed = new.variants_removed,
        presigned_upload = new.presigned_upload, rejected_version = new.rejected_version, expires_at = new.expires_at,
        batch = new.batch, change = coalesce(new.seq, images.change), updated_at = clock_timestamp(),
        version = new.version + 1
    FROM given AS new
    WHERE images.id = new.id AND images.version = new.version AND new.version > 0
    RETURNING images.*
),
written AS (
    SELECT * FROM added
    UNION ALL
    SELECT * FROM updated
),
added_changes AS (
    INSERT INTO changes (seq, image_id, version, generation, type, batch, tenant, at, data)
    SELECT seq, image_id, version, generation, type, batch, tenant, updated_at,
        to_jsonb(written) - '{variants_removed,presigned_upload,rejected_version,republished_at,change}'::text[]
    FROM written
    JOIN numbered ON numbered.image_id = written.id
),
added_events AS (
    INSERT INTO events (id, image_id, type, object_version, occurred, recorded_by, data)
    SELECT id, image_id, type, object_version, occurred, recorded_by, data
    FROM jsonb_populate_recordset(NULL::events, %(events)s::jsonb)
    ON CONFLICT DO NOTHING
)
SELECT (SELECT count(*) FROM written) AS written, (SELECT pg_notify('changes', last::text) FROM head);

-- name: failed_images
-- By ID, so that a page continues where the last one ended.
SELECT {image_columns}
FROM images
WHERE status = 'FAILED' AND id > %(after)s AND error ->> 'code' = ANY(%(codes)s) AND updated_at >= %(since)s
    AND (%(until)s::timestamptz IS NULL OR updated_at <= %(until)s)
    AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s::uuid[]))
ORDER BY id
LIMIT %(limit)s;

-- name: forget_personal
-- Only the data that a deleted image retains, in its timeline and in the feed.
WITH cleared_changes AS (
    UPDATE changes
    SET data = changes.data || %(cleared)s::jsonb || CASE WHEN images.key = '' THEN '{"key": ""}' ELSE '{}' END::jsonb
    FROM images
    WHERE changes.image_id = ANY(%(ids)s) AND images.id = changes.image_id
)
UPDATE events
SET data = (
    SELECT coalesce(jsonb_object_agg(name, value), '{}')
    FROM jsonb_each(data) AS items (name, value)
    WHERE name = ANY(%(retained)s)
)
WHERE image_id = ANY(%(ids)s) AND EXISTS (
    SELECT FROM jsonb_object_keys(data) AS name WHERE name <> ALL(%(retained)s)
);

-- name: deleted_images
-- Those to purge, the oldest first. A presigned form that could still store a file keeps its row.
SELECT id
FROM images
WHERE status = 'DELETED' AND variants_removed AND updated_at < clock_timestamp() - %(age)s
    AND (expires_at IS NULL OR expires_at < clock_timestamp() - %(form_age)s)
ORDER BY updated_at
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED;

-- name: expired_images
-- Those to purge whose form was never used.
SELECT id
FROM images
WHERE status IN ('AWAITING_UPLOAD', 'EXPIRED') AND expires_at < clock_timestamp() - %(age)s
ORDER BY expires_at
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED;

-- name: purge_images
-- Rows that this transaction has locked, with their timelines. Their changes stay in the feed, without what was in them.
WITH purged AS (
    DELETE FROM images
    WHERE id = ANY(%(ids)s)
    RETURNING id
),
cleared_changes AS (
    UPDATE changes
    SET data = data || %(cleared)s::jsonb || '{"key": ""}'
    WHERE image_id IN (SELECT id FROM purged)
)
DELETE FROM events
WHERE image_id IN (SELECT id FROM purged);

-- name: purge_stray_events
-- Events without an image: it never had a row, or was purged. Returns how far it has checked.
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
purged AS (
    DELETE FROM events
    WHERE id IN (
        SELECT id FROM page WHERE NOT EXISTS (SELECT FROM images WHERE images.id = page.image_id)
    )
    RETURNING id
)
SELECT recorded, id, (SELECT count(*) FROM purged) AS purged
FROM page
ORDER BY recorded DESC, id DESC
LIMIT 1;

-- name: move_oldest
-- Before changes are deleted: so pruning locks feed's row first, as writers of changes do. Only the old changes at the
-- beginning of a page, so that a clock that was ahead for a while takes nothing away that is younger.
UPDATE feed
SET oldest = page.upto
FROM (
    SELECT coalesce(min(seq) FILTER (WHERE at >= clock_timestamp() - %(age)s), max(seq) + 1) AS upto
    FROM (SELECT seq, at FROM changes ORDER BY seq LIMIT %(limit)s) AS first
) AS page
WHERE feed.oldest < page.upto
RETURNING oldest;

-- name: prune_changes
DELETE FROM changes
WHERE seq < %(oldest)s;

-- name: renew_feed
UPDATE feed
SET epoch = left(md5(gen_random_uuid()::text), 8)
RETURNING epoch, last, pg_notify('changes', last::text);

-- name: find_events
-- Of all partitions that begin after this time.
SELECT id
FROM events
WHERE id = ANY(%(ids)s) AND occurred >= %(since)s;

-- name: make_event_partitions
SELECT make_event_partitions(%(step)s, %(ahead)s) AS made;

-- name: drop_event_partitions
SELECT drop_event_partitions(clock_timestamp() - %(age)s) AS dropped;

-- name: catch_up
-- Also back to an earlier time: then a clock that was ahead has been corrected, and with the later time the gateway
-- would answer 404 for images whose events have not arrived yet.
UPDATE progress
SET caught_up_to = %(time)s;

-- name: claim_overdue
-- Images that the thumbnailer has not acted upon for this time. Claimed for as long again, so that neither another
-- sweep nor the next one republishes their events a second time.
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

-- name: claim_expired
-- Images whose form expired unused, which the view image_status shows already. Claimed as by claim_overdue.
UPDATE images
SET republished_at = clock_timestamp()
WHERE id IN (
    SELECT id
    FROM images
    WHERE status = 'AWAITING_UPLOAD' AND expires_at < clock_timestamp() - interval '1 minute'
        AND (republished_at IS NULL OR republished_at < clock_timestamp() - %(age)s)
    ORDER BY expires_at
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

-- name: expected_originals
-- Rows that have an object, in the order in which MinIO lists. No upper bound if it is null.
SELECT id, key, object_version
FROM images
WHERE status IN ('PENDING', 'PROCESSING', 'DONE', 'FAILED')
    AND key COLLATE "C" > %(after)s AND (%(upto)s::text IS NULL OR key COLLATE "C" <= %(upto)s)
ORDER BY key COLLATE "C"
LIMIT %(limit)s;

-- name: expected_variants
-- Rows that have variants, in the order in which MinIO lists these.
SELECT id, key, object_version, jsonb_path_query_array(variants, '$[*].key') AS variants
FROM images
WHERE status = 'DONE' AND id > %(after)s AND (%(upto)s::uuid IS NULL OR id <= %(upto)s)
ORDER BY id
LIMIT %(limit)s;

-- name: claim
-- Claim an image to process again, unless its event was republished recently.
UPDATE images
SET republished_at = clock_timestamp()
WHERE id = %(id)s AND (republished_at IS NULL OR republished_at < clock_timestamp() - %(age)s)
RETURNING id;

-- name: claim_stuck
-- Images that the thumbnailer should have finished long ago, claimed as by the sweep. Their age ends at the time up to
-- which the tracker has seen all events. While messages wait in the image queue, only images whose message cannot be
-- among them: an image whose events came much later has been processed. While messages wait in the delay queues, no image
-- that is PROCESSING: one that waits for a slow slot would be decoded again and again, and so never have its turn.
WITH seen AS (
    SELECT least(clock_timestamp(), caught_up_to) - %(age)s AS upto
    FROM progress
),
newest AS (
    SELECT id
    FROM (
        SELECT DISTINCT status, tenant FROM image_counts WHERE status IN ('PROCESSING', 'DONE', 'FAILED')
    ) AS present
    CROSS JOIN LATERAL (
        SELECT id, created_at FROM images
        WHERE images.status = present.status AND images.tenant = present.tenant
        ORDER BY created_at DESC, id DESC
        LIMIT 1
    ) AS processed
    ORDER BY created_at DESC, id DESC
    LIMIT 1
),
queue_head AS (
    SELECT min(recorded) AS recorded
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
        AND (%(idle)s OR greatest(updated_at, republished_at) < (SELECT recorded FROM queue_head) - %(age)s)
        AND NOT (%(delayed)s AND status = 'PROCESSING')
    ORDER BY updated_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING {image_columns};

-- name: read_cursor
SELECT bucket, last_key, last_id, objects, step,
    greatest(0, extract(epoch FROM next_step_at - clock_timestamp()))::float8 AS due_in,
    extract(epoch FROM clock_timestamp() - pass_ended)::float8 AS since_last_pass
FROM reconciliation;

-- name: save_cursor
-- Returns no row if another tracker has done the step.
UPDATE reconciliation
SET bucket = %(bucket)s, last_key = %(last_key)s, last_id = %(last_id)s, objects = %(objects)s, step = step + 1,
    next_step_at = clock_timestamp() + %(pause)s,
    pass_began = CASE WHEN %(began)s THEN clock_timestamp() ELSE pass_began END,
    pass_ended = CASE WHEN %(ended)s THEN clock_timestamp() ELSE pass_ended END
WHERE step = %(step)s
RETURNING step;

-- name: open_pass
-- The present pass. A new one begins if it has ended, and with that old runs are purged.
WITH present AS (
    SELECT id
    FROM reconciliation_passes
    WHERE id = (SELECT pass FROM reconciliation) AND ended IS NULL
),
added AS (
    INSERT INTO reconciliation_passes (began)
    SELECT clock_timestamp()
    WHERE NOT EXISTS (SELECT FROM present)
    RETURNING id
),
pointed AS (
    UPDATE reconciliation
    SET pass = added.id
    FROM added
),
purged_passes AS (
    DELETE FROM reconciliation_passes
    WHERE began < clock_timestamp() - %(age)s AND EXISTS (SELECT FROM added)
),
purged_images AS (
    DELETE FROM reconciled
    WHERE found_at < clock_timestamp() - %(age)s AND EXISTS (SELECT FROM added)
)
SELECT id FROM present
UNION ALL
SELECT id FROM added;

-- name: save_pass
UPDATE reconciliation_passes
SET objects = objects + %(objects)s,
    found = (
        SELECT coalesce(jsonb_object_agg(kind, number), '{}')
        FROM (
            SELECT kind, sum(number::bigint) AS number
            FROM (
                SELECT * FROM jsonb_each_text(found)
                UNION ALL
                SELECT * FROM jsonb_each_text(%(found)s::jsonb)
            ) AS both_parts (kind, number)
            GROUP BY kind
        ) AS sums
    ),
    ended = CASE WHEN %(ended)s THEN clock_timestamp() END
WHERE id = %(id)s;

-- name: add_reconciled
INSERT INTO reconciled (run_id, image_id, drift, repaired)
SELECT %(run_id)s, %(image_id)s, %(drift)s, %(repaired)s
WHERE (SELECT count(*) FROM reconciled WHERE run_id = %(run_id)s) < %(limit)s
ON CONFLICT DO NOTHING;

-- name: add_redriven
-- Before its run is requested: after a crash the same image is still FAILED, and comes again.
INSERT INTO redriven (request, image_id, generation, code, run_id)
VALUES (%(request)s, %(image_id)s, %(generation)s, %(code)s, %(run_id)s)
ON CONFLICT (request, image_id) DO UPDATE
SET run_id = excluded.run_id;

-- name: add_request
-- Returns no row if too many requests are open.
WITH purged AS (
    DELETE FROM operator_requests
    WHERE state NOT IN ('waiting', 'running') AND updated_at < clock_timestamp() - %(age)s
)
INSERT INTO operator_requests (kind, parameters, dry_run, requested_by)
SELECT %(kind)s, %(parameters)s::jsonb, %(dry_run)s, %(requested_by)s
WHERE (SELECT count(*) FROM operator_requests WHERE state IN ('waiting', 'running')) < %(limit)s
RETURNING {request_columns};

-- name: add_order
-- The request of a message, which may come twice.
INSERT INTO operator_requests (event_id, kind, parameters, dry_run, requested_by, state, error)
SELECT %(event_id)s, %(kind)s, %(parameters)s::jsonb, %(dry_run)s, %(requested_by)s,
    CASE WHEN accepted THEN 'waiting' ELSE 'failed' END, CASE WHEN accepted THEN '' ELSE %(error)s END
FROM (
    SELECT count(*) < %(limit)s AS accepted FROM operator_requests WHERE state IN ('waiting', 'running')
) AS open
ON CONFLICT (event_id) DO NOTHING
RETURNING {request_columns};

-- name: save_worker
-- An older heartbeat may be delivered again.
INSERT INTO workers (id, host, process_id, version, started_at, last_seen, interval_seconds, decoders, slow_decoders,
    in_flight, presets)
VALUES (%(id)s, %(host)s, %(process_id)s, %(version)s, %(started_at)s, %(last_seen)s, %(interval_seconds)s,
    %(decoders)s, %(slow_decoders)s, %(in_flight)s, %(presets)s)
ON CONFLICT (id) DO UPDATE
SET last_seen = excluded.last_seen, in_flight = excluded.in_flight
WHERE workers.last_seen < excluded.last_seen;

-- name: remove_worker
DELETE FROM workers
WHERE id = %(id)s;

-- name: expire_workers
-- Those whose heartbeats stopped, after operators had time to see it.
DELETE FROM workers
WHERE last_seen + 3 * interval_seconds * interval '1 second' < clock_timestamp() - %(age)s;

-- name: add_up_counts
WITH taken AS (
    DELETE FROM image_counts
    RETURNING status, images, tenant
)
INSERT INTO image_counts (status, images, tenant)
SELECT status, sum(images), tenant
FROM taken
GROUP BY status, tenant
HAVING sum(images) <> 0;

-- name: write_queues
INSERT INTO queues (name, ready)
SELECT name, ready
FROM jsonb_populate_recordset(NULL::queues, %(records)s::jsonb)
ORDER BY name
ON CONFLICT (name) DO UPDATE
SET ready = excluded.ready, measured_at = excluded.measured_at;

-- name: clear_dead_letters
DELETE FROM dead_letters
WHERE queue = %(queue)s;

-- name: write_dead_letters
INSERT INTO dead_letters
SELECT *
FROM jsonb_populate_recordset(NULL::dead_letters, %(records)s::jsonb);

-- name: superseded_dead_letters
SELECT position
FROM dead_letter_status
WHERE queue = %(queue)s AND superseded;

-- name: find_request
-- By its ID, or the latest.
SELECT {request_columns}
FROM operator_requests
WHERE kind = %(kind)s AND (%(id)s::bigint IS NULL OR id = %(id)s::bigint)
ORDER BY id DESC
LIMIT 1;

-- name: start_request
-- The oldest that is open: one that runs already was left by a tracker that died.
UPDATE operator_requests
SET state = 'running', started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp()
WHERE id = (SELECT min(id) FROM operator_requests WHERE kind = %(kind)s AND state IN ('waiting', 'running'))
RETURNING {request_columns};

-- name: save_request
-- Returns no row if it was cancelled.
UPDATE operator_requests
SET report = %(report)s::jsonb, position = %(position)s::jsonb, state = %(state)s, error = %(error)s,
    updated_at = clock_timestamp()
WHERE id = %(id)s AND state = 'running'
RETURNING {request_columns};

-- name: cancel_request
UPDATE operator_requests
SET state = 'cancelled', updated_at = clock_timestamp()
WHERE id = %(id)s AND kind = %(kind)s AND state IN ('waiting', 'running')
RETURNING {request_columns};

-- name: try_lock
SELECT pg_try_advisory_lock(%(number)s) AS locked;

-- name: unlock
SELECT pg_advisory_unlock(%(number)s);
