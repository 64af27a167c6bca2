"""The contracts between the services: lifecycle events, storage events, and the identity of an image."""
