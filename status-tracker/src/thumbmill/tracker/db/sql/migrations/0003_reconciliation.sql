-- The cursor of reconciliation, and the indexes that it needs.

SET LOCAL statement_timeout = 0;            -- an index of ten million rows takes its time

DROP INDEX images_unfinished;
CREATE INDEX images_unfinished ON images (updated_at)
    WHERE status IN ('PENDING', 'PROCESSING') OR (status = 'DELETED' AND NOT variants_removed);

-- For reconciliation alone, in the order in which MinIO lists: every other query by key is one by ID.
CREATE INDEX images_live_by_key ON images (key COLLATE "C")
    WHERE status IN ('PENDING', 'PROCESSING', 'DONE', 'FAILED');

CREATE TABLE reconciliation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    bucket text NOT NULL,                   -- which of the two is being scanned
    last_key text NOT NULL,                 -- compared so far, in the order of its bytes
    last_id uuid,                           -- the same of rows, in the bucket of variants
    objects bigint NOT NULL,                -- compared in this pass
    step bigint NOT NULL,                   -- grows with every page: no two trackers take the same one
    next_step_at timestamptz NOT NULL,      -- limits the rate of all trackers together
    pass_began timestamptz,
    pass_ended timestamptz                  -- of the last complete one
);

INSERT INTO reconciliation (bucket, last_key, objects, step, next_step_at)
VALUES ('images-original', '', 0, 0, 'epoch');

GRANT SELECT, UPDATE ON reconciliation TO status_tracker;
