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

CREATE VIEW known_keys AS
SELECT id, tenant, name, scopes, secret_sha256, limits, created_at, expires_at, revoked_at, successor, version
FROM api_keys;

CREATE VIEW key_history AS
SELECT version, key_id, type, actor, at, data
FROM api_key_events;

GRANT SELECT, INSERT ON api_keys TO key_keeper;
GRANT UPDATE (expires_at, revoked_at, successor, changed_by) ON api_keys TO key_keeper;
GRANT SELECT ON api_key_events TO key_keeper; -- the trigger alone writes it
GRANT SELECT ON known_keys, key_history TO gateway;
