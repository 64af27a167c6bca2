-- What operators see: workers, queues, dead letters, the runs of reconciliation, and the images of a redrive.

SET LOCAL statement_timeout = 0;            -- an index of ten million rows takes its time

-- Failures by age, for the summary and for the preview of a redrive.
CREATE INDEX images_failed ON images (updated_at) WHERE status = 'FAILED';

-- How many images are in each state. Counting ten million rows takes seconds, so triggers add what each statement changes:
-- rows whose sums count. New rows need no lock that writers would wait for. The tracker adds them up now and then.
CREATE TABLE image_counts (
    status text NOT NULL,
    images bigint NOT NULL                  -- may be negative
);

CREATE FUNCTION count_images() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO image_counts SELECT status, count(*) FROM new_rows GROUP BY status;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO image_counts
        SELECT status, sum(change)
        FROM (SELECT status, 1 AS change FROM new_rows UNION ALL SELECT status, -1 FROM old_rows) AS changes
        GROUP BY status
        HAVING sum(change) <> 0;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO image_counts SELECT status, -count(*) FROM old_rows GROUP BY status;
    ELSE
        DELETE FROM image_counts;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER count_added AFTER INSERT ON images
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_images();
CREATE TRIGGER count_changed AFTER UPDATE ON images
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_images();
CREATE TRIGGER count_removed AFTER DELETE ON images
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION count_images();
CREATE TRIGGER count_truncated AFTER TRUNCATE ON images
    FOR EACH STATEMENT EXECUTE FUNCTION count_images();

INSERT INTO image_counts SELECT status, count(*) FROM images GROUP BY status;

ALTER TABLE operator_requests
    ADD COLUMN event_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE, -- of the message; it may come twice
    ADD COLUMN started_at timestamptz;

-- The images that a request of the kind `retry` has processed again.
CREATE TABLE redriven (
    request bigint NOT NULL REFERENCES operator_requests ON DELETE CASCADE,
    image_id uuid NOT NULL,
    generation integer NOT NULL,
    code text NOT NULL,                     -- why it had failed
    run_id text NOT NULL,                   -- of the run that was requested
    PRIMARY KEY (request, image_id)
);

-- Passes of the tracker's own schedule; those that operators request are rows of operator_requests.
CREATE TABLE reconciliation_passes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    began timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended timestamptz,
    objects bigint NOT NULL DEFAULT 0,      -- compared
    found jsonb NOT NULL DEFAULT '{}'       -- number of images by the kind of drift
);

CREATE INDEX reconciliation_passes_newest ON reconciliation_passes (began DESC);

ALTER TABLE reconciliation ADD COLUMN pass uuid; -- the present one

CREATE TABLE reconciled (
    run_id uuid NOT NULL,                   -- a pass, or the event_id of a request
    image_id uuid NOT NULL,
    drift text NOT NULL,
    repaired boolean NOT NULL,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, image_id, drift)
);

-- One row for each running thumbnailer, and for those whose heartbeats stopped lately.
CREATE TABLE workers (
    id uuid PRIMARY KEY,                    -- of the process, chosen at its start
    host text NOT NULL,
    process_id integer NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    interval_seconds float NOT NULL,        -- between two of its heartbeats
    decoders integer NOT NULL,
    slow_decoders integer NOT NULL,
    in_flight integer NOT NULL,             -- images
    presets text NOT NULL                   -- their version, as in the keys of variants
);

CREATE TABLE queues (
    name text PRIMARY KEY,
    ready bigint NOT NULL,                  -- messages
    measured_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The first messages of each dead letter queue, as the tracker read them last.
CREATE TABLE dead_letters (
    queue text NOT NULL,
    position integer NOT NULL,
    image_id uuid,                          -- null: about no image, or malformed
    object_version text,
    run_id text NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    dead_lettered_at timestamptz,
    PRIMARY KEY (queue, position)
);

CREATE VIEW image_totals AS
SELECT status, sum(images)::bigint AS images
FROM image_counts
GROUP BY status;

CREATE VIEW worker_status AS
SELECT
    id, host, process_id, version, started_at, last_seen, decoders, slow_decoders, in_flight, presets,
    last_seen + 3 * interval_seconds * interval '1 second' < (SELECT caught_up_to FROM progress) AS missing
FROM workers;

CREATE VIEW queue_status AS
SELECT name, ready, measured_at
FROM queues;

-- Superseded: a later run has decided about the image, or a deletion, or another object. Of the latter two the tracker
-- must have seen every event that is older than the dead letter; DURABLE may announce one 30 seconds late.
CREATE VIEW dead_letter_status AS
SELECT
    queue, position, image_id, code, reason, dead_lettered_at,
    coalesce(
        CASE
            WHEN images.status = 'DELETED' OR images.object_version <> dead_letters.object_version
                THEN dead_lettered_at < (SELECT caught_up_to FROM progress) - interval '30 seconds'
            ELSE images.run_id > dead_letters.run_id COLLATE "C"
        END,
        false
    ) AS superseded
FROM dead_letters
LEFT JOIN images ON images.id = dead_letters.image_id AND dead_letters.object_version IS NOT NULL;

CREATE VIEW reconciliation_runs AS
SELECT
    event_id AS id, state, dry_run, requested_by, requested_at, started_at,
    CASE WHEN state NOT IN ('waiting', 'running') THEN updated_at END AS ended_at,
    coalesce((report ->> 'originals')::bigint + (report ->> 'variants')::bigint, 0) AS objects,
    coalesce(report -> 'found', '{}') AS found, error
FROM operator_requests
WHERE kind = 'reconciliation'
UNION ALL
SELECT
    id, CASE WHEN ended IS NULL THEN 'running' ELSE 'done' END, false, '', began, began, ended, objects, found, ''
FROM reconciliation_passes;

CREATE VIEW reconciled_images AS
SELECT reconciled.run_id, image_id, drift, found_at, repaired, nullif(image_status.key, '') AS key, image_status.status
FROM reconciled
LEFT JOIN image_status ON image_status.id = image_id;

-- What became of each image of a redrive. Before its run begins, its run_id is an earlier one.
CREATE VIEW redriven_images AS
SELECT
    operator_requests.event_id AS redrive_id, image_id, redriven.code, image_status.status,
    image_status.error ->> 'code' AS error,
    CASE
        WHEN image_status.id IS NULL OR image_status.generation <> redriven.generation
            OR image_status.run_id > redriven.run_id COLLATE "C" OR image_status.status = 'DELETED' THEN 'superseded'
        WHEN image_status.run_id < redriven.run_id COLLATE "C" THEN 'in_progress'
        WHEN image_status.status IN ('DONE', 'FAILED') THEN lower(image_status.status)
        ELSE 'in_progress'
    END AS result
FROM redriven
JOIN operator_requests ON operator_requests.id = redriven.request
LEFT JOIN image_status ON image_status.id = image_id;

CREATE VIEW redrives AS
SELECT
    event_id AS id, state, dry_run, requested_by, requested_at, started_at,
    CASE WHEN state NOT IN ('waiting', 'running') THEN updated_at END AS ended_at, parameters, error,
    coalesce((report ->> 'found')::bigint, 0) AS found
FROM operator_requests
WHERE kind = 'retry';

GRANT SELECT, INSERT, DELETE ON image_counts TO status_tracker;
GRANT SELECT, INSERT, UPDATE ON redriven TO status_tracker;
GRANT SELECT, INSERT, UPDATE, DELETE ON reconciliation_passes TO status_tracker;
GRANT SELECT, INSERT, DELETE ON reconciled TO status_tracker;
GRANT SELECT, INSERT, UPDATE, DELETE ON workers, queues TO status_tracker;
GRANT SELECT, INSERT, DELETE ON dead_letters TO status_tracker;
GRANT SELECT ON dead_letter_status TO status_tracker;
GRANT SELECT ON image_totals, worker_status, queue_status, dead_letter_status, reconciliation_runs, reconciled_images, redrives,
    redriven_images TO gateway;
