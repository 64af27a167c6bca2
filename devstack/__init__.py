"""Runs the whole system on one machine without Docker: `python -m devstack up`.

It imports the standard library only: it starts the services as programs, and its `venv` command runs before any
package is installed. Tests use `devstack.stack.Stack`.
"""
