"""Runs everything on one machine without Docker: `python devstack up`.

The package imports the standard library alone and no service: it starts programs. Tests use `devstack.stack.Stack`.
"""
