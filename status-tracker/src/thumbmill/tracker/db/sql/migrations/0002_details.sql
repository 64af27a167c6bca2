-- What is found out about an original beside its size.

ALTER TABLE images
    ADD COLUMN details jsonb,                            -- null unless DONE, and where nobody looked yet
    ADD COLUMN damaged boolean NOT NULL DEFAULT false;   -- DONE though parts of the file could not be read

-- Replaced, not dropped: grants stay, and no gateway finds it missing. So what is new comes last.
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
