"""A permission revoked from a running service: nothing is lost, and granting it again is enough."""

import pytest

from tests.support.degraded_servers import changed_secret, denied
from tests.support.images import photo, red_quarter
from tests.support.outage_uploads import readiness
from tests.support.waiting import wait_until


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject"])
def test_a_permission_revoked_for_a_while_costs_no_attempt(system, action):
    with denied(system, action):
        image = system.post_form(photo(orientation=3))
        refused = 'thumbmill_deliveries_total{action="requeue",queue="image_queue"}'
        before = system.metric("THUMBNAILER_HEALTH_PORT", refused)
        wait_until(lambda: system.metric("THUMBNAILER_HEALTH_PORT", refused) >= before + 2)
        assert system.image(image["id"])["status"] in {"PENDING", "PROCESSING"}
    done = system.wait_status(image["id"])
    assert done["attempts"] == 1
    assert red_quarter(system.thumbnail(image["id"])) == "right lower"
    assert system.message_count("image_queue.dead") == 0


@pytest.mark.parametrize(
    ("user", "port"),
    [
        ("gateway", "GATEWAY_PORT"),
        ("thumbnailer", "THUMBNAILER_HEALTH_PORT"),
        ("status-tracker", "STATUS_TRACKER_HEALTH_PORT"),
    ],
)
def test_a_wrong_minio_secret_is_reported_as_minio(system, user, port):
    """Also for an idle service, and an error of MinIO is not reported as one of RabbitMQ."""
    with changed_secret(system, user):
        unavailable = wait_until(lambda: readiness(system, port), what=f"{user} to report it")
        assert unavailable.keys() == {"minio"}
        assert "check MINIO_ACCESS_KEY, MINIO_SECRET_KEY" in unavailable["minio"]
    wait_until(lambda: not readiness(system, port), what=f"{user} to be ready again")


def test_a_thumbnailer_with_a_wrong_secret_and_waiting_images_reports_minio(system):
    with changed_secret(system, "thumbnailer"):
        image = system.post_form(photo())
        wait_until(
            lambda: "minio" in readiness(system, "THUMBNAILER_HEALTH_PORT"), what="the thumbnailer to report it"
        )
        assert readiness(system, "THUMBNAILER_HEALTH_PORT").keys() == {"minio"}
    assert system.wait_status(image["id"])["attempts"] == 1
