"""`python infra/local COMMAND`. Written so that an old Python can still read it and say what it lacks."""

import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 (the point of it)
    found = ".".join(str(part) for part in sys.version_info[:3])
    said = "Thumbmill needs Python 3.11 or newer; this is %s (%s). Try: make PYTHON=python3.12 up"
    sys.exit(said % (found, sys.executable))

# Run as a directory, Python puts that directory first, and its postgres.py and minio.py would be everybody's.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from local.commands import main  # noqa: E402

sys.exit(main())
