"""`python -m devstack COMMAND`. The syntax is old, so that an old Python still prints which version is needed."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (the reason for this check)
    found = ".".join(str(part) for part in sys.version_info[:3])
    text = "Thumbmill needs Python 3.11 or newer; this is %s (%s). Try: make PYTHON=python3.12 up"
    sys.exit(text % (found, sys.executable))


from devstack.commands import main

sys.exit(main())
