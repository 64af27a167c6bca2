#!/bin/sh
# Create the database's roles, or set their changed passwords. The Postgres image runs this from
# /docker-entrypoint-initdb.d, and devstack runs it. The migrations grant the roles their permissions on tables.
#
# Environment: POSTGRES_USER (the owner), POSTGRES_DB, STATUS_TRACKER_DATABASE_PASSWORD, GATEWAY_DATABASE_PASSWORD and
# KEY_KEEPER_DATABASE_PASSWORD (or the same names with _FILE), and libpq's PGHOST, PGPORT, PGPASSWORD unless the server is
# on the local socket.
set -eu

read_secret() {
    eval "value=\${$1:-} file=\${$1_FILE:-}"
    if [ -n "$file" ]; then value=$(cat "$file"); fi
    if [ -z "$value" ]; then
        echo "roles.sh: set $1 (or $1_FILE)" >&2
        exit 1
    fi
}

read_secret STATUS_TRACKER_DATABASE_PASSWORD
export STATUS_TRACKER_DATABASE_PASSWORD="$value"
read_secret GATEWAY_DATABASE_PASSWORD
export GATEWAY_DATABASE_PASSWORD="$value"
read_secret KEY_KEEPER_DATABASE_PASSWORD
export KEY_KEEPER_DATABASE_PASSWORD="$value"

run_sql() {
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$1"
}

# The image has created the database itself; for devstack this script does.
POSTGRES_DB="$POSTGRES_DB" run_sql postgres <<'SQL'
\getenv database POSTGRES_DB
SELECT format('CREATE DATABASE %I', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
SQL

# Pass passwords in the environment: every user of the machine can see arguments.
run_sql "$POSTGRES_DB" <<'SQL'
\getenv database POSTGRES_DB
\getenv status_tracker_password STATUS_TRACKER_DATABASE_PASSWORD
\getenv gateway_password GATEWAY_DATABASE_PASSWORD
\getenv key_keeper_password KEY_KEEPER_DATABASE_PASSWORD
SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['status_tracker', 'gateway', 'key_keeper']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE status_tracker LOGIN PASSWORD :'status_tracker_password';
ALTER ROLE gateway LOGIN PASSWORD :'gateway_password';
ALTER ROLE key_keeper LOGIN PASSWORD :'key_keeper_password';
ALTER ROLE gateway SET default_transaction_read_only = on;
ALTER ROLE gateway SET statement_timeout = '4s'; -- the gateway stops waiting after 5 s (database.py), but cancels no query
-- By default every role may connect to every database, create temporary tables and store large objects there.
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO status_tracker, gateway, key_keeper;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO status_tracker, gateway, key_keeper;
DO $$
BEGIN
    REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
    REVOKE EXECUTE ON FUNCTION lo_create(oid), lo_creat(integer), lo_from_bytea(oid, bytea) FROM PUBLIC;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE WARNING 'only a superuser can revoke CONNECT on other databases and lo_create from PUBLIC';
END
$$;
SQL
