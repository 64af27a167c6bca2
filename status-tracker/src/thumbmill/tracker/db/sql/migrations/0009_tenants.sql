-- The tenant of each image, a function of its key (core/contracts/tenants.py), and indexes by tenant.

SET LOCAL statement_timeout = 0;            -- the indexes of ten million rows

-- Stored, not generated: a deleted image's key may be forgotten, and it still belongs to its tenant.
ALTER TABLE images ADD COLUMN tenant text NOT NULL DEFAULT '';
ALTER TABLE changes ADD COLUMN tenant text NOT NULL DEFAULT '';
ALTER TABLE image_counts ADD COLUMN tenant text NOT NULL DEFAULT '';

UPDATE images
SET tenant = substring(key FROM '^t/([a-z0-9][a-z0-9-]{0,31})/')
WHERE key ~ '^t/[a-z0-9][a-z0-9-]{0,31}/';

UPDATE changes
SET tenant = images.tenant
FROM images
WHERE images.id = changes.image_id AND images.tenant <> '';

INSERT INTO image_counts (status, images, tenant)
SELECT status, count(*), tenant FROM images WHERE tenant <> '' GROUP BY status, tenant
UNION ALL
SELECT status, -count(*), '' FROM images WHERE tenant <> '' GROUP BY status;

CREATE OR REPLACE FUNCTION count_images() RETURNS trigger LANGUAGE plpgsql AS $$
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

DROP INDEX images_newest, images_newest_by_status, images_of_batch, images_failed, changes_of_batch;
CREATE INDEX images_newest ON images (tenant, created_at DESC, id DESC);
CREATE INDEX images_newest_by_status ON images (status, tenant, created_at DESC, id DESC);
CREATE INDEX images_of_batch ON images (tenant, batch, created_at DESC, id DESC) WHERE batch IS NOT NULL;
CREATE INDEX images_failed ON images (tenant, updated_at) WHERE status = 'FAILED';
CREATE INDEX changes_of_batch ON changes (tenant, batch, seq) WHERE batch IS NOT NULL;

CREATE OR REPLACE VIEW image_status AS
SELECT
    id, key,
    CASE
        WHEN status = 'AWAITING_UPLOAD' AND now() > expires_at + interval '1 minute' THEN 'EXPIRED'
        ELSE status
    END AS status,
    status AS stored_status,
    file_name, content_type, size, object_version, generation, format, width, height, sha256, variants,
    attempts, next_attempt_at, error, created_at, updated_at, expires_at, version,
    details, damaged,
    run_id, missing,
    batch, (SELECT epoch FROM feed) || '-' || change AS event_id,
    tenant
FROM images;

CREATE OR REPLACE VIEW image_changes AS
SELECT
    seq, event_id, image_id, version, generation, type, batch, at,
    data || jsonb_build_object('event_id', event_id) AS data,
    tenant
FROM (SELECT *, (SELECT epoch FROM feed) || '-' || seq AS event_id FROM changes) AS numbered;

CREATE OR REPLACE VIEW image_totals AS
SELECT status, sum(images)::bigint AS images, tenant
FROM image_counts
GROUP BY status, tenant;
