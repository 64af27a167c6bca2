"""Orders to a running status tracker, by its side port."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable

SILENCE_SECONDS = 60.0  # it tells once a second how far it is
NAME = "status-tracker"


def give_order(url: str, path: str, wishes: Mapping[str, object]) -> Iterator[dict[str, Any]]:
    """Give each line that the tracker tells while it carries out an order.

    Raises DependencyAway when it does not answer or breaks off; Refused for an order that it does not know.
    """
    try:
        # A proxy that the environment names is meant for the world outside.
        with httpx.stream("POST", url + path, json=wishes, timeout=SILENCE_SECONDS, trust_env=False) as answer:
            if not answer.is_success:
                raise DependencyRejected(
                    NAME, f"it answers {answer.status_code} to POST {path}; is it of this version?"
                )
            for line in answer.iter_lines():
                told = json.loads(line)
                if not isinstance(told, dict):
                    raise DependencyRejected(
                        NAME, f"it answers {line[:50]!r} to POST {path}; is it of this version?"
                    )
                yield told
    except (httpx.HTTPError, ValueError) as fault:
        raise DependencyUnavailable(NAME, fault) from fault
