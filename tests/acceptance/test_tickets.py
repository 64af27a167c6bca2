"""Tickets: forms that are used once, twice, late, never, or for another purpose."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.support.images import photo, red_quarter
from tests.support.messages import wait_idle
from tests.support.system import ORIGINALS, PROCESSED, problem
from tests.support.waiting import wait_until

TICKETS, IMAGES = "/api/v1/uploads", "/api/v1/images"
MIB = 1024 * 1024


def wait_awaiting(system, ticket):
    """Wait until the tracker has recorded a ticket."""
    return system.wait_status(ticket["id"], "AWAITING_UPLOAD")


def refused(answer):
    """Return the status and the code of MinIO's error."""
    return answer.status_code, answer.text.partition("<Code>")[2].partition("</Code>")[0]


def test_a_ticket_describes_its_limits(system):
    asked = datetime.now(UTC)
    answer = system.http.post(TICKETS, json={"content_type": "image/png", "file_name": "a/b/Père Noël.png"})
    ticket = answer.json()
    assert answer.headers["location"].endswith(f"{IMAGES}/{ticket['id']}")
    assert ticket["key"] == f"uploads/{ticket['id']}/original"
    assert ticket["max_bytes"] == 50 * MIB
    lifetime = datetime.fromisoformat(ticket["expires_at"]) - asked
    assert timedelta(minutes=14) < lifetime < timedelta(minutes=16)
    image = wait_awaiting(system, ticket)
    assert (image["file_name"], image["content_type"]) == ("Père Noël.png", "image/png")
    assert (image["variants"], image["expires_at"][:19]) == ([], ticket["expires_at"][:19])
    assert system.timeline(ticket["id"]) == ["upload.requested"]
    for variant in ("original", "thumbnail"):
        assert problem(system.http.get(f"{IMAGES}/{ticket['id']}/variants/{variant}"), 409) == "not_ready"


@pytest.mark.parametrize("content_type", ["image/svg+xml", "text/html", "", "text/html; image/jpeg"])
def test_there_are_tickets_for_supported_formats_only(system, content_type):
    answer = system.http.post(TICKETS, json={"content_type": content_type})
    assert problem(answer, 415) == "unsupported_format"


def test_a_ticket_without_a_content_type_is_422(system):
    assert problem(system.http.post(TICKETS, json={}), 422) == "invalid_request"
    assert problem(system.http.post(TICKETS, content=b"{"), 422) == "invalid_request"


def test_an_unused_ticket_cannot_be_deleted(system):
    ticket = system.ticket()
    wait_awaiting(system, ticket)
    assert problem(system.http.delete(f"{IMAGES}/{ticket['id']}"), 409) == "ticket_not_used"
    assert system.send_form(ticket, photo()).status_code == 204
    system.wait_status(ticket["id"])
    assert system.http.delete(f"{IMAGES}/{ticket['id']}").status_code == 202
    system.wait_status(ticket["id"], "DELETED")


def wait_rejected(system, ticket):
    """Wait until the tracker has removed the rejected object, without any trace."""
    image_id = ticket["id"]
    wait_until(lambda: "tracker.rejected" in system.timeline(image_id), 30, "the object to be rejected")
    assert system.keys(ORIGINALS, ticket["key"]) == []
    wait_until(lambda: system.keys(PROCESSED, f"{image_id}/") == [], 30, "its variants to be removed")
    wait_idle(system)
    image = system.image(image_id)
    assert (image["status"], image["variants"]) == ("DELETED", [])
    assert system.keys(PROCESSED, f"{image_id}/") == []
    for variant in ("original", "thumbnail"):
        assert problem(system.http.get(f"{IMAGES}/{image_id}/variants/{variant}"), 410) == "gone"


@pytest.mark.parametrize("held", [None, "thumbnailer", "status-tracker"])
def test_a_used_ticket_does_not_accept_another_file(system, held):
    """The API shows the first file or none: MinIO cannot reject the other, so the tracker removes it."""
    ticket = system.ticket()
    with system.frozen(held) if held else nullcontext():
        assert system.send_form(ticket, photo(seed=1)).status_code == 204
        if not held:
            system.wait_status(ticket["id"])
        assert system.send_form(ticket, photo(seed=2, orientation=3)).status_code == 204
    wait_rejected(system, ticket)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_ticket_does_not_restore_a_deleted_image(system, seed):
    ticket = system.ticket()
    assert system.send_form(ticket, photo(seed=1)).status_code == 204
    system.wait_status(ticket["id"])
    system.http.delete(f"{IMAGES}/{ticket['id']}")
    system.wait_status(ticket["id"], "DELETED")
    assert system.send_form(ticket, photo(seed=seed)).status_code == 204
    wait_rejected(system, ticket)
    assert system.image(ticket["id"])["generation"] == 1


def test_a_ticket_accepts_the_same_bytes_again(system):
    """As a client does whose response was lost."""
    ticket = system.ticket()
    assert system.send_form(ticket, photo(seed=1, orientation=3)).status_code == 204
    system.wait_status(ticket["id"])
    assert system.send_form(ticket, photo(seed=1, orientation=3)).status_code == 204
    wait_idle(system)
    system.wait_status(ticket["id"])
    assert red_quarter(system.thumbnail(ticket["id"])) == "right lower"
    assert "tracker.rejected" not in system.timeline(ticket["id"])


def test_a_ticket_accepts_another_file_if_a_setting_allows_it(system):
    ticket = system.ticket()
    with system.restarted("status-tracker", FORM_OVERWRITE="true"):
        assert system.send_form(ticket, photo(seed=1)).status_code == 204
        assert system.wait_status(ticket["id"])["generation"] == 1
        assert system.send_form(ticket, photo(seed=2, orientation=3)).status_code == 204
        system.wait_generation(ticket["id"], 2)
        assert red_quarter(system.thumbnail(ticket["id"])) == "right lower"
        with system.frozen("thumbnailer"):
            for generation in (3, 4):
                assert system.send_form(ticket, photo(seed=generation)).status_code == 204
                wait_until(lambda expected=generation: system.image(ticket["id"])["generation"] == expected)
        system.wait_generation(ticket["id"], 4)
        system.http.delete(f"{IMAGES}/{ticket['id']}")
        system.wait_status(ticket["id"], "DELETED")
        assert system.send_form(ticket, photo(seed=5)).status_code == 204
        wait_rejected(system, ticket)


def test_a_ticket_used_after_the_tracker_expired_it(system):
    """The form is still valid, but the database's clock has passed its end, as after a very slow upload."""
    ticket = system.ticket()
    wait_awaiting(system, ticket)
    moved = system.query(
        "UPDATE images SET expires_at = now() - interval '2 minutes' WHERE id = %s RETURNING id", ticket["id"]
    )
    assert len(moved) == 1
    system.wait_status(ticket["id"], "EXPIRED")
    assert problem(system.http.delete(f"{IMAGES}/{ticket['id']}"), 409) == "ticket_not_used"
    with system.frozen("thumbnailer"):
        assert system.send_form(ticket, photo(orientation=3)).status_code == 204
        system.wait_status(ticket["id"], "PENDING")
    image = wait_until(lambda: [i for i in [system.image(ticket["id"])] if i["status"] == "DONE"])[0]
    assert (image["generation"], image["file_name"]) == (1, "photo.jpg")
    assert red_quarter(system.thumbnail(ticket["id"])) == "right lower"


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"key": "uploads/another/original"}, (403, "AccessDenied")),
        ({"key": "holiday.jpg"}, (403, "AccessDenied")),
        ({"Content-Type": "text/html"}, (403, "AccessDenied")),
        ({"x-amz-meta-file-name": "other.jpg"}, (403, "AccessDenied")),
        ({"X-Minio-Source-Mtime": "2200-01-01T00:00:00Z"}, (403, "AccessDenied")),
        ({"x-amz-credential": "gateway/20261122/us-east-1/s3/aws4_request"}, (403, "")),
        ({"x-amz-signature": "0" * 64}, (403, "SignatureDoesNotMatch")),
        ({"policy": "e30="}, (403, "")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_form_cannot_be_changed(system, changes, refusal):
    ticket = system.ticket()
    before = system.keys(ORIGINALS)
    status, code = refused(system.send_form(ticket, photo(), **changes))
    assert status == refusal[0]
    assert not refusal[1] or code == refusal[1]
    assert system.keys(ORIGINALS) == before


def test_a_form_is_valid_for_its_bucket_only(system):
    ticket = system.ticket()
    url = ticket["form"]["url"].replace(ORIGINALS, PROCESSED)
    answer = httpx.post(url, data=ticket["form"]["fields"], files={"file": ("photo.jpg", photo())})
    assert answer.status_code == 403
    assert system.keys(PROCESSED, "uploads/") == []


def test_a_form_rejects_files_that_are_too_large_or_empty(system):
    ticket = system.ticket()
    assert refused(system.send_form(ticket, photo().ljust(50 * MIB + 1, b"\0"))) == (400, "EntityTooLarge")
    assert refused(system.send_form(ticket, b"")) == (400, "EntityTooSmall")
    assert system.keys(ORIGINALS, ticket["key"]) == []
    assert wait_awaiting(system, ticket)


def test_an_unused_ticket_expires(system, lapsed_ticket):
    image_id = lapsed_ticket["id"]
    assert system.send_form(lapsed_ticket, photo()).status_code in {400, 403}
    assert system.keys(ORIGINALS, lapsed_ticket["key"]) == []
    system.wait_status(image_id, "EXPIRED", timeout=75)
    response = system.http.get(f"{IMAGES}/{image_id}")
    assert "retry-after" not in response.headers
    assert problem(system.http.delete(f"{IMAGES}/{image_id}"), 409) == "ticket_not_used"
    listed = system.http.get(IMAGES, params={"status": "EXPIRED"}).json()["items"]
    assert image_id in {item["id"] for item in listed}
    waiting = system.http.get(IMAGES, params={"status": "AWAITING_UPLOAD"}).json()["items"]
    assert image_id not in {item["id"] for item in waiting}
    wait_until(lambda: len(system.timeline(image_id)) > 1, what="the sweep to record it")
    assert system.timeline(image_id) == ["upload.requested", "upload.expired"]
    system.wait_status(image_id, "EXPIRED")


@pytest.mark.parametrize("content_type", ["image/jpg", "IMAGE/JPEG", "image/pjpeg; q=1"])
def test_a_ticket_accepts_aliases_of_content_types(system, content_type):
    ticket = system.ticket(content_type=content_type)
    assert ticket["form"]["fields"]["Content-Type"] == "image/jpeg"
    assert system.send_form(ticket, photo()).is_success
    assert system.wait_status(ticket["id"])["content_type"] == "image/jpeg"
