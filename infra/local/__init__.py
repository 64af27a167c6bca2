"""Runs everything on one machine without Docker: `python infra/local up`.

The package imports the standard library alone and no service: it starts programs. Tests use `local.stack.Stack`.
"""
