"""``thumbmill tenants``: the MinIO users with which S3 clients upload for a tenant."""
