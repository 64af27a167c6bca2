-- The timeline in partitions by the time at which an event occurred, so that old ones are dropped without deleting rows.

SET LOCAL statement_timeout = 0;            -- attaching reads ten million events twice

-- The table so far becomes the first partition as it is. It ends with this month, or behind its latest event.
ALTER TABLE events RENAME TO events_first;
ALTER INDEX events_pkey RENAME TO events_first_pkey;
ALTER INDEX events_of_image RENAME TO events_first_image_id_recorded_idx;
ALTER INDEX events_strays RENAME TO events_first_recorded_id_idx;
REVOKE ALL ON events_first FROM status_tracker;
REVOKE ALL (data) ON events_first FROM status_tracker;

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
CREATE INDEX events_strays ON events (recorded, id)
    WHERE type IN ('image.removed', 'image.redriven', 'image.dropped', 'image.retry_requested', 'image.variants_missing')
        OR starts_with(type, 'storage.ObjectRemoved:');

DO $$
DECLARE
    latest timestamptz := (SELECT greatest(max(occurred), clock_timestamp()) FROM events_first);
BEGIN
    EXECUTE format(
        'ALTER TABLE events ATTACH PARTITION events_first FOR VALUES FROM (MINVALUE) TO (%L)',
        date_trunc('month', latest AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
    );
END
$$;

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
GRANT SELECT, INSERT, DELETE ON events TO status_tracker;
GRANT UPDATE (data) ON events TO status_tracker;

-- Views keep the table that they were made for, under its new name.
CREATE OR REPLACE VIEW image_timeline AS
SELECT image_id, id, type, object_version, occurred, recorded, recorded_by, data
FROM events;
