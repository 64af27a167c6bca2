"""The guards that keep images from being lost, and how each is taken out to see what it is for.

None of our services has a switch for this. A guard that is a setting is set so that it never acts, one that is an
order to a server is taken back, and one that is a function is replaced in a process that
``chaos.ablated_service`` starts.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.fault_injection.patch import Patch

NEVER = "86400"  # seconds: a day, longer than any drill


@dataclass(frozen=True)
class Guard:
    """One of them: what it does, and what is done to have it away."""

    about: str
    service: str = ""  # in which functions are replaced
    patches: tuple[Patch, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)  # of all services
    target: str = ""  # of MinIO's, that is told of nothing


# --- replacements ----------------------------------------------------------------------------------------------


def _mention(_: object) -> Any:
    from thumbmill.core.messaging.publisher import Publisher  # noqa: PLC0415 - only in the process that is to lack the guard

    return Publisher.publish_unconfirmed


def _ack_at_once(receive: Callable[..., None]) -> Callable[..., None]:
    def receive_and_ack(consumer, channel, method, properties, body) -> None:  # noqa: ANN001 - pika's
        channel.basic_ack(method.delivery_tag)
        receive(consumer, channel, method, properties, body)

    return receive_and_ack


def _do_nothing(_: object) -> Callable[..., None]:
    return lambda *_, **__: None


def _believe(fold: Callable[..., Any]) -> Callable[..., Any]:
    """Fold facts one by one, each of which says itself what a look into the bucket would show."""
    from thumbmill.tracker.image_record import BucketState  # noqa: PLC0415 - only in the process that is to lack the guard

    def fold_as_told(row, facts, look, *, removal_known: bool = False, **rules: bool) -> Any:  # noqa: ANN001, ARG001
        for fact in facts:
            told = BucketState(fact.object_version)
            row = fold(row, [fact], lambda told=told: told, removal_known=removal_known, **rules)
            removal_known = removal_known or fact.is_removal
        return row

    return fold_as_told


def _without_hash(variant_key: Callable[..., str]) -> Callable[..., str]:
    return lambda image_id, _, *rest: variant_key(image_id, "0" * 16, *rest)


def _yes(_: object) -> Callable[..., bool]:
    return lambda *_: True


# --- the table -------------------------------------------------------------------------------------------------

GUARDS = {
    "ledger": Guard(
        "MinIO keeps each event on its disk until the broker has it (the bucket's rule for it is removed)",
        target="DURABLE",
    ),
    "reconciler": Guard(
        "the tracker compares the buckets with the rows (it does not)",
        service="status-tracker",
        patches=(
            Patch("thumbmill.tracker.reconciliation.loop:Reconciler.run", _do_nothing),
        ),  # a long interval begins with a pass
    ),
    "sweep": Guard(
        "the tracker announces again what stays PENDING (after a day)",
        settings={"SWEEP_AFTER_SECONDS": NEVER},
    ),
    "confirm": Guard(
        "the thumbnailer waits for the broker's confirm before it acknowledges (it does not wait)",
        service="thumbnailer",
        patches=(Patch("thumbmill.core.messaging.publisher:Publisher.publish_event", _mention),),
    ),
    "ack-last": Guard(
        "the thumbnailer acknowledges when all is done (it does on receipt)",
        service="thumbnailer",
        patches=(
            Patch("thumbmill.core.messaging.consumer:Consumer._receive", _ack_at_once),
            Patch("thumbmill.core.messaging.consumer:Consumer._settle", _do_nothing),
        ),
    ),
    "source-head": Guard(
        "the tracker asks the bucket before a row changes its source (it believes what it is told)",
        service="status-tracker",
        patches=(Patch("thumbmill.tracker.handler:fold", _believe),),
    ),
    "hash": Guard(
        "a variant's key holds the hash of the original's bytes (it holds zeros)",
        service="thumbnailer",
        patches=(Patch("thumbmill.thumbnailer.handler:variant_key", _without_hash),),
    ),
    "publish-head": Guard(
        "the thumbnailer asks the bucket again before it tells what it made (it tells at once)",
        service="thumbnailer",
        patches=(Patch("thumbmill.thumbnailer.handler:Thumbnailer._still_holds", _yes),),
    ),
}


def settings_without(names: Iterable[str]) -> dict[str, str]:
    """Give the settings with which these guards never act."""
    return {name: value for guard in names for name, value in GUARDS[guard].settings.items()}


def cut_by(names: Iterable[str], service: str) -> list[str]:
    """Give those of the guards that a function of this service is."""
    return [name for name in names if GUARDS[name].service == service]
