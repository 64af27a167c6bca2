"""The guards that prevent lost images, and how a drill removes each of them to show what it is for.

The services have no switch for this. A guard that is a setting gets a value with which it never acts, a guard that
is MinIO's notification rule is removed, and a guard that is a function is replaced in the process that
``chaos.ablated_service`` starts.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.fault_injection.patch import Patch

NEVER = "86400"  # seconds: a day, longer than any drill


@dataclass(frozen=True)
class Guard:
    """A guard and how it is removed."""

    description: str
    service: str = ""  # whose functions are replaced
    patches: tuple[Patch, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)  # of all services
    target: str = ""  # MinIO's notification target, which gets no events


# --- replacements ----------------------------------------------------------------------------------------------


def _publish_unconfirmed(_: object) -> Any:
    # Import the service's modules only in the process without the guard.
    from thumbmill.core.messaging.publisher import Publisher  # noqa: PLC0415

    return Publisher.publish_unconfirmed


def _ack_on_receipt(receive: Callable[..., None]) -> Callable[..., None]:
    def receive_and_ack(consumer: Any, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        channel.basic_ack(method.delivery_tag)
        receive(consumer, channel, method, properties, body)

    return receive_and_ack


def _do_nothing(_: object) -> Callable[..., None]:
    return lambda *_, **__: None


def _trust_events(fold: Callable[..., Any]) -> Callable[..., Any]:
    """Apply events one by one, with each event's own object version in place of the bucket's."""
    from thumbmill.tracker.image_record import BucketState  # noqa: PLC0415

    def fold_trusting(
        row: Any, events: Iterable[Any], _head_object: object, *, removal_known: bool = False, **rules: bool
    ) -> Any:
        for event in events:
            claimed = BucketState(event.object_version)
            row = fold(row, [event], lambda claimed=claimed: claimed, removal_known=removal_known, **rules)
            removal_known = removal_known or event.is_removal
        return row

    return fold_trusting


def _zero_hash(variant_key: Callable[..., str]) -> Callable[..., str]:
    return lambda image_id, _, *rest: variant_key(image_id, "0" * 16, *rest)


def _always_true(_: object) -> Callable[..., bool]:
    return lambda *_: True


# --- the table -------------------------------------------------------------------------------------------------

GUARDS = {
    "durable": Guard(
        "MinIO stores each event on disk until the broker has confirmed it (without: DURABLE gets no events)",
        target="DURABLE",
    ),
    "reconciler": Guard(
        "the tracker compares the buckets with the rows (without: it does not)",
        service="status-tracker",
        # A long interval instead would still begin with a pass.
        patches=(Patch("thumbmill.tracker.reconciliation.loop:Reconciler.run", _do_nothing),),
    ),
    "sweep": Guard(
        "the tracker republishes events of images that stay PENDING (without: after a day)",
        settings={"SWEEP_AFTER_SECONDS": NEVER},
    ),
    "confirm": Guard(
        "the thumbnailer waits for the publisher confirm before it acknowledges (without: it does not wait)",
        service="thumbnailer",
        patches=(Patch("thumbmill.core.messaging.publisher:Publisher.publish_event", _publish_unconfirmed),),
    ),
    "ack-last": Guard(
        "the thumbnailer acknowledges a message after its work (without: on receipt)",
        service="thumbnailer",
        patches=(
            Patch("thumbmill.core.messaging.session:Session._receive", _ack_on_receipt),
            Patch("thumbmill.core.messaging.session:Session._acknowledge", _do_nothing),
        ),
    ),
    "tracker-head": Guard(
        "the tracker sends HEAD before a row changes its object version (without: it trusts each event)",
        service="status-tracker",
        patches=(Patch("thumbmill.tracker.handler:fold", _trust_events),),
    ),
    "hash": Guard(
        "a variant's key contains the hash of the original's bytes (without: zeros)",
        service="thumbnailer",
        patches=(Patch("thumbmill.thumbnailer.variants:variant_key", _zero_hash),),
    ),
    "publish-head": Guard(
        "the thumbnailer sends HEAD again before it publishes image.done (without: it publishes at once)",
        service="thumbnailer",
        patches=(Patch("thumbmill.thumbnailer.handler:Thumbnailer._is_current", _always_true),),
    ),
}


def settings_without(names: Iterable[str]) -> dict[str, str]:
    """Return the settings with which these guards never act."""
    return {name: value for guard in names for name, value in GUARDS[guard].settings.items()}


def guards_of(names: Iterable[str], service: str) -> list[str]:
    """Return those of the guards that are functions of this service."""
    return [name for name in names if GUARDS[name].service == service]
