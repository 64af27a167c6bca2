"""The life of a service process: start, stop, logs and the admin port."""
