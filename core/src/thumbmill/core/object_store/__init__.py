"""The object store: requests to MinIO, listings, and its errors as ours."""
