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
    tenant text NOT NULL DEFAULT '',        -- by the key, which may be forgotten; '': the default tenant
    CHECK ((status IN ('AWAITING_UPLOAD', 'EXPIRED')) = (object_version IS NULL))
);

CREATE INDEX images_newest ON images (tenant, created_at DESC, id DESC);
CREATE INDEX images_newest_by_status ON images (status, tenant, created_at DESC, id DESC);
CREATE INDEX images_unfinished ON images (updated_at)
    WHERE status IN ('PENDING', 'PROCESSING') OR (status = 'DELETED' AND NOT variants_removed);

-- For reconciliation alone, in the order in which MinIO lists: every other query by key is one by ID.
CREATE INDEX images_live_by_key ON images (key COLLATE "C")
    WHERE status IN ('PENDING', 'PROCESSING', 'DONE', 'FAILED');

-- Rows to purge, the oldest first.
CREATE INDEX images_deleted ON images (updated_at) WHERE status = 'DELETED' AND variants_removed;
CREATE INDEX images_awaiting ON images (status, expires_at) WHERE status IN ('AWAITING_UPLOAD', 'EXPIRED');

CREATE INDEX images_of_batch ON images (tenant, batch, created_at DESC, id DESC) WHERE batch IS NOT NULL;

-- Failures by age, for the summary and for the preview of a redrive.
CREATE INDEX images_failed ON images (tenant, updated_at) WHERE status = 'FAILED';

-- Images with the same bytes, of which there are few, so their tenants are compared in the rows.
CREATE INDEX images_of_bytes ON images USING hash (sha256) WHERE status = 'DONE';

-- How many images of each tenant are in each state. Counting ten million rows takes seconds, so triggers add what each statement changes:
-- rows whose sums count. New rows need no lock that writers would wait for. The tracker adds them up now and then.
CREATE TABLE image_counts (
    status text NOT NULL,
    images bigint NOT NULL,                 -- may be negative
    tenant text NOT NULL DEFAULT ''
);

CREATE FUNCTION count_images() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO image_counts (status, images, tenant)
        SELECT status, count(*), tenant FROM new_rows GROUP BY status, tenant;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO image_counts (status, images, tenant)
        SELECT status, sum(change), tenant
        FROM (
            SELECT status, tenant, 1 AS change FROM new_rows
            UNION ALL
            SELECT status, tenant, -1 FROM old_rows
        ) AS changes
        GROUP BY status, tenant
        HAVING sum(change) <> 0;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO image_counts (status, images, tenant)
        SELECT status, -count(*), tenant FROM old_rows GROUP BY status, tenant;
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

-- No unique key of all partitions: it would have to contain `occurred`, which may differ when an event comes twice.
CREATE TABLE events (
    id uuid NOT NULL,                       -- a function of the event; the primary key of each partition
    image_id uuid NOT NULL,                 -- no foreign key: a removal may come for an image without a row
    type text NOT NULL,
    object_version text,
    occurred timestamptz NOT NULL,
    recorded timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by text NOT NULL,
    data jsonb NOT NULL
) PARTITION BY RANGE (occurred);

CREATE INDEX events_of_image ON events (image_id, recorded);
-- Events that may come for an image without a row.
CREATE INDEX events_strays ON events (recorded, id)
    WHERE type IN ('image.removed', 'image.redriven', 'image.dropped', 'image.retry_requested', 'image.variants_missing')
        OR starts_with(type, 'storage.ObjectRemoved:');

-- What was recorded before there were partitions; the migration ends it with its month.
CREATE TABLE events_first PARTITION OF events (PRIMARY KEY (id)) FOR VALUES FROM (MINVALUE) TO ('2027-01-01 00:00:00+00');

-- For events of a time without a partition, so that none is ever refused.
CREATE TABLE events_default PARTITION OF events (PRIMARY KEY (id)) DEFAULT;

CREATE VIEW event_partitions AS
SELECT
    relname::text AS name,
    (regexp_match(bound, 'TO \(''([^'']+)''\)'))[1]::timestamptz AS upto -- null: the default partition
FROM (
    SELECT relname, pg_get_expr(relpartbound, pg_class.oid) AS bound
    FROM pg_inherits
    JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'events'::regclass
) AS found;

-- Only the owner of a table may change its partitions. The tracker gets these two functions instead.
CREATE FUNCTION make_event_partitions(step text, ahead interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    lower timestamptz;
    upper timestamptz;
    name text;
    made integer := 0;
BEGIN
    IF step NOT IN ('day', 'month') THEN
        RAISE EXCEPTION 'a partition has a day or a month, not %', step;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('event_partitions'));
    LOOP
        SELECT greatest(max(upto), date_trunc(step, clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')
        INTO lower
        FROM event_partitions;
        EXIT WHEN lower > clock_timestamp() + ahead;
        upper := date_trunc(step, lower AT TIME ZONE 'UTC' + ('1 ' || step)::interval) AT TIME ZONE 'UTC';
        name := 'events_' || to_char(lower AT TIME ZONE 'UTC', 'YYYY_MM_DD');
        LOCK TABLE events_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING DEFAULTS, PRIMARY KEY (id))', name);
        EXECUTE format(
            'WITH moved AS (DELETE FROM events_default WHERE occurred >= %L AND occurred < %L RETURNING *)'
            ' INSERT INTO %I SELECT * FROM moved', lower, upper, name
        );
        EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, lower, upper);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

CREATE FUNCTION drop_event_partitions(before timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    old text;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('event_partitions'));
    FOR old IN SELECT name FROM event_partitions WHERE upto <= before LOOP
        EXECUTE format('DROP TABLE %I', old);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM events_default WHERE occurred < before;
    RETURN dropped;
END
$$;

REVOKE ALL ON FUNCTION make_event_partitions(text, interval), drop_event_partitions(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_event_partitions(text, interval), drop_event_partitions(timestamptz) TO status_tracker;

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
    tenant text NOT NULL DEFAULT '',
    UNIQUE (image_id, version)
);

CREATE INDEX changes_of_batch ON changes (tenant, batch, seq) WHERE batch IS NOT NULL;

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
    pass_ended timestamptz,                 -- of the last complete one
    pass uuid                               -- the present one, of reconciliation_passes
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
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    event_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE, -- of the message; it may come twice
    started_at timestamptz
);

CREATE INDEX operator_requests_open ON operator_requests (kind, id) WHERE state IN ('waiting', 'running');

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

-- API keys of clients, and the history of who changed them. `thumbmill keys` writes them as the role key_keeper.

CREATE TABLE api_keys (
    id text PRIMARY KEY CHECK (id ~ '^[0-9A-Za-z]{10}$'),
    tenant text NOT NULL,                   -- '': the default tenant
    name text NOT NULL CHECK (name <> ''),
    scopes text[] NOT NULL CHECK (scopes <> '{}'),
    secret_sha256 bytea NOT NULL CHECK (length(secret_sha256) = 32), -- of the whole key, which is stored nowhere
    limits jsonb NOT NULL DEFAULT '{}',     -- by policy; others have the limits of the gateway's settings
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,                 -- null: never
    revoked_at timestamptz,
    successor text REFERENCES api_keys,     -- the key that replaces it
    changed_by text NOT NULL CHECK (changed_by <> ''), -- who made the last change
    version bigint NOT NULL UNIQUE          -- of the last change, in the order of commits
);

CREATE TABLE api_key_events (
    version bigint PRIMARY KEY,
    key_id text NOT NULL,
    type text NOT NULL CHECK (type IN ('created', 'rotated', 'revoked')),
    actor text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    data jsonb NOT NULL                     -- what the change has set
);

-- The lock is kept until the commit, so no gateway that has read a version can miss a smaller one.
CREATE FUNCTION number_key_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.revoked_at IS NOT NULL THEN
        RAISE EXCEPTION 'key % is revoked for good', OLD.id;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('api_keys'));
    NEW.version := (SELECT coalesce(max(version), 0) + 1 FROM api_key_events);
    INSERT INTO api_key_events (version, key_id, type, actor, data)
    SELECT
        NEW.version, NEW.id,
        CASE
            WHEN TG_OP = 'INSERT' THEN 'created'
            WHEN NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN 'revoked'
            ELSE 'rotated'
        END,
        NEW.changed_by,
        CASE
            WHEN TG_OP = 'INSERT' THEN jsonb_build_object(
                'tenant', NEW.tenant, 'name', NEW.name, 'scopes', NEW.scopes, 'limits', NEW.limits,
                'expires_at', NEW.expires_at
            )
            ELSE jsonb_build_object(
                'expires_at', NEW.expires_at, 'revoked_at', NEW.revoked_at, 'successor', NEW.successor
            )
        END;
    RETURN NEW;
END
$$;

CREATE TRIGGER number_change BEFORE INSERT OR UPDATE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION number_key_change();

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
    batch, (SELECT epoch FROM feed) || '-' || change AS event_id,
    tenant
FROM images;

CREATE VIEW image_timeline AS
SELECT image_id, id, type, object_version, occurred, recorded, recorded_by, data
FROM events;

CREATE VIEW image_changes AS
SELECT
    seq, event_id, image_id, version, generation, type, batch, at,
    data || jsonb_build_object('event_id', event_id) AS data,
    tenant
FROM (SELECT *, (SELECT epoch FROM feed) || '-' || seq AS event_id FROM changes) AS numbered;

CREATE VIEW feed_head AS
SELECT epoch, last, oldest
FROM feed;

CREATE VIEW tracker_progress AS
SELECT caught_up_to
FROM progress;

CREATE VIEW image_totals AS
SELECT status, sum(images)::bigint AS images, tenant
FROM image_counts
GROUP BY status, tenant;

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

CREATE VIEW known_keys AS
SELECT id, tenant, name, scopes, secret_sha256, limits, created_at, expires_at, revoked_at, successor, version
FROM api_keys;

CREATE VIEW key_history AS
SELECT version, key_id, type, actor, at, data
FROM api_key_events;

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
GRANT SELECT, INSERT, DELETE ON image_counts TO status_tracker;
GRANT SELECT, INSERT, UPDATE ON redriven TO status_tracker;
GRANT SELECT, INSERT, UPDATE, DELETE ON reconciliation_passes TO status_tracker;
GRANT SELECT, INSERT, DELETE ON reconciled TO status_tracker;
GRANT SELECT, INSERT, UPDATE, DELETE ON workers, queues TO status_tracker;
GRANT SELECT, INSERT, DELETE ON dead_letters TO status_tracker;
GRANT SELECT ON dead_letter_status TO status_tracker;
GRANT SELECT ON image_totals, worker_status, queue_status, dead_letter_status, reconciliation_runs, reconciled_images, redrives,
    redriven_images TO gateway;
GRANT SELECT, INSERT ON api_keys TO key_keeper;
GRANT UPDATE (expires_at, revoked_at, successor, changed_by) ON api_keys TO key_keeper;
GRANT SELECT ON api_key_events TO key_keeper; -- the trigger alone writes it
GRANT SELECT ON known_keys, key_history TO gateway;
