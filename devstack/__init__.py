"""Runs the whole system on one machine without Docker: `python -m devstack up`.

It imports only the standard library: it starts the services as programs, and its `venv` command runs before any
package is installed. Tests use `devstack.stack.Stack`.
"""
