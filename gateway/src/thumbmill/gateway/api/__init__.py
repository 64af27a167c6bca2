"""The HTTP API: routes, models, errors, and its OpenAPI description."""
