"""File names that try to escape a folder, break a line or reverse the text."""

from urllib.parse import quote

import pytest

from tests.support.images import photo

PHOTO = photo()
ORIGINALS = "images-original"
HOSTILE = "../../a\r\nX-Evil: 1/\x1b[2J\u202e\u2066\u200b\u00ad\u2028gpj" + "x" * 400 + ".jpg"
CLEAN = ("[2Jgpj" + "x" * 400)[:255]
RAW = {"Content-Type": "image/jpeg"}


def by_form(system):
    return system.post_form(PHOTO, HOSTILE)["id"]


def by_extended_name(system):
    headers = RAW | {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(HOSTILE, safe='')}"}
    answer = system.http.post("/api/v1/images", content=PHOTO, headers=headers)
    return answer.json()["id"]


def by_ticket(system):
    ticket = system.ticket(file_name=HOSTILE)
    assert system.send_form(ticket, PHOTO).is_success
    return ticket["id"]


def by_metadata(system):
    metadata = {"file-name": quote(HOSTILE, safe="")}
    system.s3.put_object(Bucket=ORIGINALS, Key="hostile/name", Body=PHOTO, Metadata=metadata)
    return system.wait_key("hostile/name")["id"]


@pytest.mark.parametrize("route", [by_form, by_extended_name, by_ticket, by_metadata])
def test_a_file_name_is_sanitized_on_every_upload_route(system, route):
    image_id = route(system)
    assert system.wait_status(image_id)["file_name"] == CLEAN
    names = {name for event in system.events(image_id) if (name := (event["data"] or {}).get("file_name"))}
    assert names == {CLEAN}
    sent = system.http.get(f"/api/v1/images/{image_id}/variants/original").headers["Content-Disposition"]
    assert sent == f"attachment; filename=\"{CLEAN}\"; filename*=UTF-8''{quote(CLEAN, safe='')}"
