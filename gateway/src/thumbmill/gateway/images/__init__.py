"""Images: status from Postgres, originals and variants from MinIO."""
