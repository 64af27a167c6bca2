"""A right that a service loses while it runs: nothing is lost with it, and giving it back is all that it takes."""

import pytest

from support.brokers import denied
from support.pictures import photo, red_quarter
from support.waiting import wait_until


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject"])
def test_a_right_that_is_missing_for_a_while_costs_no_attempt(system, action):
    with denied(system, action):
        image = system.post_form(photo(orientation=3))
        refused = 'thumbmill_deliveries_total{action="release",queue="image_queue"}'
        before = system.metric("THUMBNAILER_HEALTH_PORT", refused)
        wait_until(lambda: system.metric("THUMBNAILER_HEALTH_PORT", refused) >= before + 2)
        assert system.image(image["id"])["status"] in {"PENDING", "PROCESSING"}
    done = system.wait_status(image["id"])
    assert done["attempts"] == 1
    assert red_quarter(system.thumbnail(image["id"])) == "right lower"
    assert system.queue_length("image_queue.dead") == 0
