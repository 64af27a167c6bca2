-- Details of an original, in addition to its size.

ALTER TABLE images
    ADD COLUMN details jsonb,                            -- null unless DONE, and for images of old thumbnailers
    ADD COLUMN damaged boolean NOT NULL DEFAULT false;   -- DONE though parts of the file could not be read

-- Replaced, not dropped: grants stay, and every gateway finds it. So new columns come last.
-- A form that was accepted in its last moment may still be sending its bytes, hence the minute.
CREATE OR REPLACE VIEW image_status AS
SELECT
    id, key,
    CASE
        WHEN status = 'AWAITING_UPLOAD' AND now() > expires_at + interval '1 minute' THEN 'EXPIRED'
        ELSE status
    END AS status,
    status AS stored_status,                -- without EXPIRED: has an index
    file_name, content_type, size, source, generation, format, width, height, sha256, variants,
    attempts, next_attempt_at, error, created_at, updated_at, expires_at, version,
    details, damaged
FROM images;
