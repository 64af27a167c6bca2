"""The queries on the tracker's views for operators."""

# The tracker starts at -infinity, which is not a datetime.
CAUGHT_UP_TO = "SELECT nullif(caught_up_to, '-infinity') AS caught_up_to FROM tracker_progress"
COUNTS = "SELECT status, sum(images)::bigint AS images FROM image_totals GROUP BY status"
# By the index images_failed.
FAILURES = """
    SELECT error ->> 'code' AS code,
        count(*) FILTER (WHERE updated_at > now() - interval '1 hour') AS last_hour,
        count(*) FILTER (WHERE updated_at > now() - interval '1 day') AS last_day,
        count(*) AS last_week
    FROM image_status
    WHERE stored_status = 'FAILED' AND updated_at > now() - interval '7 days'
    GROUP BY error ->> 'code'
"""
SCOPE = """
    stored_status = 'FAILED' AND updated_at <= %(until)s
    AND (%(since)s::timestamptz IS NULL OR updated_at >= %(since)s)
    AND (%(codes)s::text[] IS NULL OR error ->> 'code' = ANY(%(codes)s::text[]))
    AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s::uuid[]))
"""
COUNT_SCOPE = f"SELECT error ->> 'code' AS code, count(*) AS images FROM image_status WHERE {SCOPE} GROUP BY 1"  # noqa: S608 - constants
NOW = "SELECT clock_timestamp() AS now"
# Each part reads only what it needs of an index: images_newest_by_status, images_unfinished.
WAITING = f"""
    SELECT (SELECT count(*) FROM image_status WHERE stored_status = 'PENDING') AS images,
        (SELECT extract(epoch FROM clock_timestamp() - min(updated_at))::float
            FROM image_status WHERE stored_status = 'PENDING') AS oldest_seconds,
        ({CAUGHT_UP_TO}) AS caught_up_to
"""  # noqa: S608 - constants
WORKERS = """
    SELECT id, host, process_id, version, started_at, last_seen, decoders, slow_decoders, in_flight, presets,
        coalesce(missing, false) AS missing
    FROM worker_status
    ORDER BY host, process_id, id
"""
QUEUES = "SELECT name, ready, measured_at FROM queue_status ORDER BY name"
DEAD_LETTERS = """
    SELECT queue, image_id, code, reason, dead_lettered_at, superseded FROM dead_letter_status
    ORDER BY queue, position
"""
# From the change to PENDING, or from the upload if that change was skipped; of a ticket the latter is unknown.
THROUGHPUT = """
    WITH recent AS (
        SELECT image_id, generation, type, at, data
        FROM image_changes
        WHERE seq > (SELECT last FROM feed_head) - %(changes)s AND at > clock_timestamp() - %(window)s
    ),
    done AS (
        SELECT CASE
            WHEN pending.at IS NOT NULL THEN extract(epoch FROM done.at - pending.at)::float
            WHEN done.generation = 1 AND done.data ->> 'expires_at' IS NULL
                THEN extract(epoch FROM done.at - (done.data ->> 'created_at')::timestamptz)::float
        END AS seconds
        FROM recent AS done
        LEFT JOIN recent AS pending ON pending.type = 'image.pending' AND pending.image_id = done.image_id
            AND pending.generation = done.generation AND pending.at <= done.at
        WHERE done.type = 'image.done'
    )
    SELECT count(*) AS images, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95,
        (SELECT extract(epoch FROM clock_timestamp() - min(at))::float FROM recent) AS seconds,
        (SELECT count(*) FROM recent) AS changes
    FROM done
"""
ORDER = "id, state, dry_run, requested_by, requested_at, started_at, ended_at, error"
RECONCILIATIONS = f"""
    SELECT {ORDER}, objects, found FROM reconciliation_runs
    WHERE %(id)s::uuid IS NULL OR id = %(id)s ORDER BY requested_at DESC, id LIMIT %(limit)s
"""  # noqa: S608 - constants
EXPECTED_OBJECTS = """
    SELECT objects FROM reconciliation_runs WHERE state = 'done' ORDER BY requested_at DESC LIMIT 1
"""
RECONCILED_IMAGES = """
    SELECT image_id, drift, key, found_at, repaired, status FROM reconciled_images
    WHERE run_id = %(id)s ORDER BY found_at, image_id LIMIT %(limit)s
"""
# The images of these orders alone are looked at.
REDRIVES = f"""
    SELECT {ORDER}, parameters, CASE WHEN dry_run THEN found ELSE results.redriven END AS redriven,
        results.done, results.failed, results.in_progress, results.superseded
    FROM (
        SELECT * FROM redrives
        WHERE %(id)s::uuid IS NULL OR id = %(id)s ORDER BY requested_at DESC, id LIMIT %(limit)s
    ) AS latest
    CROSS JOIN LATERAL (
        SELECT count(*) AS redriven, count(*) FILTER (WHERE result = 'done') AS done,
            count(*) FILTER (WHERE result = 'failed') AS failed,
            count(*) FILTER (WHERE result = 'in_progress') AS in_progress,
            count(*) FILTER (WHERE result = 'superseded') AS superseded
        FROM redriven_images
        WHERE redrive_id = latest.id
    ) AS results
    ORDER BY requested_at DESC, id
"""  # noqa: S608 - constants
REDRIVEN_IMAGES = """
    SELECT image_id, code, status, error, result FROM redriven_images
    WHERE redrive_id = %(id)s ORDER BY image_id LIMIT %(limit)s
"""
