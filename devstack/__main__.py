"""`python -m devstack COMMAND`. Written so that an old Python can still read it and say what it lacks."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (the point of it)
    found = ".".join(str(part) for part in sys.version_info[:3])
    said = "Thumbmill needs Python 3.11 or newer; this is %s (%s). Try: make PYTHON=python3.12 up"
    sys.exit(said % (found, sys.executable))


from devstack.commands import main

sys.exit(main())
