"""Machines with different clocks: minutes have no effect, an hour is reported."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.images import photo, red_quarter
from tests.support.messages import wait_idle
from tests.support.services import PORTS, free_port

LIBRARIES = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
# Not the thumbnailer: with this library Popen.wait fails as it ends its children. It asks the store as these do.
SERVICES = ("gateway", "status-tracker")

pytestmark = pytest.mark.skipif(not LIBRARIES, reason="needs Debian's package faketime")


def clock(minutes):
    """Return the settings of a process whose clock is wrong, while its monotonic clock is right."""
    offset = f"{timedelta(minutes=minutes).total_seconds():+.0f}"
    return {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.mark.parametrize("minutes", [-10, 10])
def test_ten_minutes_between_clocks_change_no_order(system, minutes):
    with system.restarted("thumbnailer", **clock(minutes)), system.restarted("status-tracker", **clock(-minutes)):
        image_id = system.post_form(photo(seed=1))["id"]
        first = system.wait_status(image_id)
        system.put(first["key"], photo(seed=2, orientation=3))
        second = system.wait_generation(image_id, 2)
        assert red_quarter(system.thumbnail(image_id)) == "right lower"
        system.http.delete(f"/api/v1/images/{image_id}")
        system.wait_removed(image_id)
        system.put(first["key"], photo(seed=3))
        system.wait_generation(image_id, 3)
        used = system.ticket()
        assert system.send_form(used, photo(seed=4)).status_code == 204
        system.wait_status(used["id"])
    wait_idle(system)
    assert system.image(image_id)["status"] == "DONE"
    assert second["created_at"] == first["created_at"]


@pytest.mark.parametrize("minutes", [-60, 60])
@pytest.mark.parametrize("name", SERVICES)
def test_an_hour_between_clocks_is_reported_at_start(system, name, minutes):
    code, output = system.run_to_end(name, **{PORTS[name]: free_port()}, **clock(minutes))
    assert code == 1, output
    assert "clock" in output
    assert "Traceback" not in output
