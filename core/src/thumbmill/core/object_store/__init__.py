"""MinIO: requests about objects, listings, and the exceptions for its errors."""
