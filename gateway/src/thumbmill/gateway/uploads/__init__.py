"""Uploads: from a request's bytes, or a presigned form, to an object in the bucket."""
