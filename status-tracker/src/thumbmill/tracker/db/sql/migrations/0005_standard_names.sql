-- Standard names: what identifies an object's state is its version, what identifies a reprocessing is its run.

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

UPDATE events SET data = data - 'run' || jsonb_build_object('run_id', data -> 'run') WHERE data ? 'run';
