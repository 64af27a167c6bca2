"""Replacing a function of a service by its name."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Make = Callable[[Any], Any]  # makes the replacement from the original


@dataclass(frozen=True)
class Patch:
    """A place where a service looks a function up, and its replacement."""

    place: str  # ``module:name`` or ``module:Class.name``
    make: Make

    def find(self) -> tuple[Any, str, Any]:
        """Return the holder, the name in it, and its value. Raise AttributeError if nothing has this name."""
        module, _, path = self.place.partition(":")
        holder = importlib.import_module(module)
        *outer, name = path.split(".")
        for part in outer:
            holder = getattr(holder, part)
        return holder, name, getattr(holder, name)

    def apply(self) -> None:
        """Install the replacement for the whole process."""
        holder, name, original = self.find()
        setattr(holder, name, self.make(original))
