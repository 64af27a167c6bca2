-- Where reconciliation is, and the indexes it goes by.

SET LOCAL statement_timeout = 0;            -- an index of ten million rows takes its time

DROP INDEX images_unfinished;
CREATE INDEX images_unfinished ON images (updated_at)
    WHERE status IN ('PENDING', 'PROCESSING') OR (status = 'DELETED' AND NOT variants_removed);

-- For reconciliation alone, in the order in which MinIO lists: every other question about a key is one about its id.
CREATE INDEX images_live_by_key ON images (key COLLATE "C")
    WHERE status IN ('PENDING', 'PROCESSING', 'DONE', 'FAILED');

CREATE TABLE reconciliation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    bucket text NOT NULL,                   -- which of the two is being gone through
    last_key text NOT NULL,                 -- compared so far, in the order of its bytes
    last_id uuid,                           -- the same of rows, in the bucket of variants
    objects bigint NOT NULL,                -- seen in this pass
    step bigint NOT NULL,                   -- grows with every page: two never take the same one
    next_step_at timestamptz NOT NULL,      -- which bounds them all, however many trackers there are
    pass_began timestamptz,
    pass_ended timestamptz                  -- the last one that came to its end
);

INSERT INTO reconciliation (bucket, last_key, objects, step, next_step_at)
VALUES ('images-original', '', 0, 0, 'epoch');

GRANT SELECT, UPDATE ON reconciliation TO status_tracker;
