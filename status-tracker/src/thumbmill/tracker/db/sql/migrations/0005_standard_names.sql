-- Standard names, in columns and in stored events, and requests of operators as rows.

SET LOCAL statement_timeout = 0;            -- rewriting ten million events takes its time

-- Views follow a renamed column of a table, but keep the names of their own columns. Grants on both stay.
ALTER TABLE images RENAME COLUMN source TO object_version;
ALTER TABLE images RENAME COLUMN run TO run_id;
ALTER TABLE images RENAME COLUMN form TO presigned_upload;
ALTER TABLE images RENAME COLUMN withdrawn TO rejected_version;
ALTER TABLE images RENAME COLUMN recovered_at TO republished_at;
ALTER TABLE events RENAME COLUMN source TO object_version;
ALTER VIEW image_status RENAME COLUMN source TO object_version;
ALTER VIEW image_status RENAME COLUMN run TO run_id;
ALTER VIEW image_timeline RENAME COLUMN source TO object_version;

-- Stored events, each in one update: the IDs stay, so an event that is delivered again is still known.
UPDATE events
SET type = CASE type
        WHEN 'tracker.healed' THEN 'tracker.repaired'
        WHEN 'tracker.withdrawn' THEN 'tracker.rejected'
        ELSE type
    END,
    recorded_by = CASE recorded_by WHEN 'instant' THEN 'immediate' WHEN 'ledger' THEN 'durable' ELSE recorded_by END,
    data = data - '{run,what,gone}'::text[]
        || CASE WHEN data ? 'run' THEN jsonb_build_object('run_id', data -> 'run') ELSE '{}' END
        || CASE WHEN data ? 'gone' THEN jsonb_build_object('missing', data -> 'gone') ELSE '{}' END
        || CASE data ->> 'what'
            WHEN 'variants_gone' THEN '{"drift": "missing_variants"}'
            ELSE CASE WHEN data ? 'what' THEN jsonb_build_object('drift', data -> 'what') ELSE '{}' END
        END
WHERE type IN ('tracker.healed', 'tracker.withdrawn') OR recorded_by IN ('instant', 'ledger') OR data ? 'run';

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
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX operator_requests_open ON operator_requests (kind, id) WHERE state IN ('waiting', 'running');

GRANT SELECT, INSERT, UPDATE, DELETE ON operator_requests TO status_tracker;
