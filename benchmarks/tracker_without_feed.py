"""Runs the status tracker as if no change were shown, for comparison only."""

from thumbmill.tracker.__main__ import main
from thumbmill.tracker.db import repository

if __name__ == "__main__":
    vars(repository)["find_change"] = lambda *_: None
    main()
