"""The guards that a drill can remove: each function exists, and its replacement does what the table states."""

import shlex
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaos.__main__ import parse
from chaos.ablated_service import SERVICES
from chaos.ablations import GUARDS, NEVER, guards_of, settings_without
from chaos.scenarios import SCENARIOS
from tests.support.ablation_cases import cases
from tests.support.fault_injection.patch import Patch
from thumbmill.core.contracts.events import Processing
from thumbmill.core.contracts.identity import ObjectVersion, variant_key
from thumbmill.core.contracts.status import Status
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.tracker.image_record import BucketState, ImageRecord
from thumbmill.tracker.projection import fold
from thumbmill.tracker.settings import Settings
from thumbmill.tracker.timeline import TimelineEvent

PATCHES = [(name, patch) for name, guard in GUARDS.items() for patch in guard.patches]
V1, V2 = ObjectVersion("1" * 32, 1, 1), ObjectVersion("2" * 32, 2, 2)


# --- the table -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "patch"), PATCHES)
def test_the_function_of_a_guard_exists(name, patch):
    holder, attribute, original = patch.find()
    assert callable(original)
    assert attribute in vars(holder), "it would be replaced for other classes too"


@pytest.mark.parametrize(
    "place", ["thumbmill.thumbnailer.handler:missing", "thumbmill.thumbnailer.handler:Thumbnailer.missing"]
)
def test_a_guard_whose_function_was_renamed_is_an_error(place):
    with pytest.raises(AttributeError, match="missing"):
        Patch(place, lambda it: it).apply()


def test_every_guard_can_be_removed():
    for name, guard in GUARDS.items():
        assert bool(guard.patches) == (guard.service in SERVICES), name
        assert guard.patches or guard.settings or guard.target, name
    assert guards_of(["hash", "reconciler", "tracker-head"], "thumbnailer") == ["hash"]
    assert settings_without(["sweep", "hash"]) == {"SWEEP_AFTER_SECONDS": NEVER}
    assert {variable.lower() for variable in settings_without(GUARDS)} <= Settings.model_fields.keys()


@pytest.mark.parametrize("arguments", [["hash"], ["hash", "--", "gateway"], ["nonsense", "--", "thumbnailer"]])
def test_wrong_arguments_of_the_launcher_are_rejected(arguments):
    root = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-m", "chaos.ablated_service", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "usage" in ended.stderr


# --- replacements ----------------------------------------------------------------------------------------------


def replacement(name, number=0):
    patch = GUARDS[name].patches[number]
    return patch.make(patch.find()[2])


def test_without_the_hash_two_originals_share_a_variant_key():
    image_id, name = uuid.uuid4(), replacement("hash")
    assert name(image_id, "a" * 64, "thumbnail", "v1.3", "jpg") == name(
        image_id, "b" * 64, "thumbnail", "v1.3", "jpg"
    )
    assert name(image_id, "a" * 64, "tiny", "v2", "png") == variant_key(image_id, "0" * 64, "tiny", "v2", "png")


def test_without_its_head_request_the_tracker_trusts_an_old_event():
    now = datetime.now(UTC)
    row = ImageRecord(uuid.uuid4(), "k", now, Status.DONE, V2, generation=2)
    old = TimelineEvent(
        uuid.uuid4(), row.id, "k", "image.processing", now, "/thumbnailer", Processing(key="k", object_version=V1)
    )
    assert fold(row, [old], lambda: BucketState(V2)) == row
    trusted = replacement("tracker-head")(row, [old], lambda: BucketState(V2))
    assert (trusted.object_version, trusted.generation) == (V1, 3)


def test_without_its_last_head_request_the_thumbnailer_always_publishes():
    assert replacement("publish-head")(None, object()) is True


def test_without_confirms_events_are_published_unconfirmed():
    assert replacement("confirm") is Publisher.publish_unconfirmed


def test_without_ack_last_a_message_is_acknowledged_on_receipt_and_never_again():
    calls = []
    channel = SimpleNamespace(basic_ack=lambda tag: calls.append(f"ack {tag}"))
    receive = GUARDS["ack-last"].patches[0].make(lambda *_: calls.append("received"))
    receive(None, channel, SimpleNamespace(delivery_tag=7), None, b"")
    replacement("ack-last", 1)(None, ["a delivery"], ack=True)
    assert calls == ["ack 7", "received"]


# --- documentation ---------------------------------------------------------------------------------------------


def test_the_documented_runs_cover_every_guard(monkeypatch):
    runs = []
    for arguments, _ in cases():
        monkeypatch.setattr(sys, "argv", ["drill", *shlex.split(arguments)])
        runs.append(parse())
    assert {run.scenario for run in runs} == {*SCENARIOS, "all"}
    assert {name for run in runs for name in run.without} == GUARDS.keys()
