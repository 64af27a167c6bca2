"""Resumable uploads: parts in any order, over restarts, completed once however often that is asked."""

import hashlib
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from devstack.installation import CHECKOUT
from tests.support.messages import wait_idle
from tests.support.resumable_uploads import PART, UPLOADS, large_bmp, send, sign, start
from tests.support.system import ORIGINALS, problem

S3 = "/api/v1/s3"
DATA = large_bmp()


def test_a_file_is_uploaded_in_parts_and_resumed_by_another_gateway(system):
    upload = start(system.http, DATA, batch="album-7", file_name="Père Noël.bmp")
    assert (upload["part_bytes"], upload["part_count"]) == (PART, 3)
    image = system.wait_status(upload["id"], "AWAITING_UPLOAD")
    assert (image["file_name"], image["content_type"]) == ("Père Noël.bmp", "image/bmp")
    url = sign(system.http, upload, 2)[2]["url"]
    etags = send(system.http, upload, DATA, 3)
    with system.stopped("gateway"):
        etags[2] = httpx.put(url, content=DATA[PART : 2 * PART]).headers["ETag"]
    listed = system.http.get(upload["parts_url"]).json()
    last = len(DATA) - 2 * PART
    assert [(part["number"], part["bytes"]) for part in listed] == [(2, PART), (3, last)]
    assert {part["number"]: f'"{part["etag"]}"' for part in listed} == etags
    incomplete = system.http.post(upload["complete_url"])
    assert problem(incomplete, 409) == "invalid_parts"
    assert incomplete.json()["numbers"] == [1]
    assert system.keys(ORIGINALS, upload["key"]) == []
    etags |= send(system.http, upload, DATA, 1)
    parts = [{"number": number, "etag": etag} for number, etag in etags.items()]
    completed = system.http.post(
        upload["complete_url"], json={"parts": parts}, headers={"Prefer": "wait=30"}, timeout=60
    )
    assert completed.status_code == 201, completed.text
    assert completed.headers["location"].endswith(f"/api/v1/images/{upload['id']}")
    image = completed.json()
    assert (image["id"], image["status"], image["batch"]) == (upload["id"], "DONE", "album-7")
    assert image["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert (image["file_name"], image["generation"]) == ("Père Noël.bmp", 1)
    assert system.http.get(f"/api/v1/images/{upload['id']}/variants/original").content == DATA


def test_an_upload_is_completed_once_however_often_that_is_asked(system):
    upload = start(system.http, DATA)
    send(system.http, upload, DATA)
    late = sign(system.http, upload, 1)[1]["url"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: system.http.post(upload["complete_url"]), range(6)))
    assert [answer.status_code for answer in answers] == [202] * 6, [answer.text for answer in answers]
    assert {answer.headers["location"].rpartition("/")[2] for answer in answers} == {upload["id"]}
    accepted = answers[0].json()
    assert (accepted["id"], accepted["bytes"], accepted["content_type"]) == (upload["id"], len(DATA), "image/bmp")
    system.wait_status(upload["id"])
    assert system.http.post(upload["complete_url"]).json() == accepted | {"status": "DONE"}
    refused = httpx.put(late, content=DATA[:PART])  # a part that arrives late
    assert (refused.status_code, "NoSuchUpload" in refused.text) == (404, True)
    assert system.http.delete(f"{UPLOADS}/{upload['id']}", params=id_of(upload)).status_code == 204
    wait_idle(system)
    image = system.image(upload["id"])
    assert (image["status"], image["generation"]) == ("DONE", 1)
    timeline = system.timeline(upload["id"])
    assert (timeline.count("image.done"), timeline.count("upload.expired")) == (1, 0)
    assert system.keys(ORIGINALS, upload["key"]) == [upload["key"]]
    assert upload["key"] not in system.multipart_uploads()
    # A deleted image cannot be stored again with what is left of its upload.
    assert system.http.delete(f"/api/v1/images/{upload['id']}").status_code == 202
    assert problem(system.http.post(upload["complete_url"]), 404) == "upload_not_found"


def id_of(upload):
    return {"upload_id": upload["upload_id"]}


def test_an_aborted_upload_leaves_nothing(system):
    upload = start(system.http, DATA)
    send(system.http, upload, DATA, 1)
    late = sign(system.http, upload, 2)[2]["url"]
    for _ in range(2):
        assert system.http.delete(f"{UPLOADS}/{upload['id']}", params=id_of(upload)).status_code == 204
    assert upload["key"] not in system.multipart_uploads()
    assert httpx.put(late, content=DATA[PART : 2 * PART]).status_code == 404
    for answer in (system.http.get(upload["parts_url"]), system.http.post(upload["complete_url"])):
        assert problem(answer, 404) == "upload_not_found"
    system.wait_status(upload["id"], "EXPIRED")  # a batch must not wait a day for it
    assert system.timeline(upload["id"]) == ["upload.requested", "upload.expired"]


def test_what_cannot_be_started_or_continued(system):
    def refusal(status, **changes):
        wanted = {"method": "parts", "content_type": "image/png", "bytes": 1} | changes
        return problem(system.http.post(UPLOADS, json=wanted), status)

    before = system.multipart_uploads()
    assert refusal(413, bytes=50 * 1024 * 1024 + 1) == "file_too_large"
    assert refusal(415, content_type="text/html") == "unsupported_format"
    for changes in ({"bytes": None}, {"bytes": 0}, {"batch": "a b"}, {"method": "tus"}):
        assert refusal(422, **changes) == "invalid_request"
    assert system.multipart_uploads() == before
    upload, other = start(system.http, DATA), start(system.http, DATA)
    for numbers in ([], [0], [4]):
        assert problem(system.http.post(upload["parts_url"], json={"numbers": numbers}), 422) == "invalid_request"
    part = sign(system.http, upload, 3)[3]
    for size in (part["bytes"] - 1, part["bytes"] + 1):
        assert httpx.put(part["url"], content=DATA[:size]).status_code == 403
    id_, given = upload["id"], upload["upload_id"]
    forged = f"{given[:-1]}{'1' if given[-1] == '0' else '0'}"
    for image_id, upload_id in (
        (id_, forged),
        (id_, other["upload_id"]),
        (id_, "x"),
        (other["id"], given),
    ):
        for method, path in (("GET", "/parts"), ("POST", "/complete"), ("DELETE", "")):
            answer = system.http.request(method, f"{UPLOADS}/{image_id}{path}", params={"upload_id": upload_id})
            assert problem(answer, 404) == "upload_not_found"


@pytest.mark.parametrize("size", [{}, {"size": len(DATA)}])
def test_the_endpoints_of_companion(system, size):
    """What @uppy/aws-s3 sends with ``companionEndpoint``; the published package runs in a browser test."""
    metadata = {"name": "a.bmp", "type": "image/bmp", "relativePath": None, "batch": "album-8", **size}
    wanted = {"filename": "a.bmp", "type": "image/bmp", "metadata": metadata}
    started = system.http.post(f"{S3}/multipart", json=wanted)
    assert started.status_code == 200, started.text
    upload = started.json()
    url, key = f"{S3}/multipart/{upload['uploadId']}", {"key": upload["key"]}
    parts = []
    for number in (1, 2, 3):
        signed = system.http.get(f"{url}/{number}", params=key).json()
        data = DATA[(number - 1) * PART : number * PART]
        if size:
            assert httpx.put(signed["url"], content=data + b"x").status_code == 403
        etag = httpx.put(signed["url"], content=data).headers["ETag"].strip('"')
        parts.append({"PartNumber": number, "ETag": etag})
    listed = system.http.get(url, params=key).json()
    assert [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in listed] == parts
    assert [part["Size"] for part in listed] == [PART, PART, len(DATA) - 2 * PART]
    batch = system.http.get(f"{url}/batch", params={**key, "partNumbers": "1,3"}).json()
    assert set(batch["presignedUrls"]) == {"1", "3"}
    other = start(system.http, DATA)
    for wrong in (other["key"], "elsewhere.jpg", f"../{upload['key']}", f"uploads/{upload['id'].upper()}/original"):
        for method, path in (("GET", ""), ("GET", "/1"), ("POST", "/complete"), ("DELETE", "")):
            refused = system.http.request(method, f"{url}{path}", params={"key": wrong})
            assert problem(refused, 403) == "key_not_allowed"
    done = system.http.post(f"{url}/complete", params=key, json={"parts": parts})
    assert done.status_code == 200, done.text
    assert done.json()["location"].endswith(f"/api/v1/images/{upload['id']}")
    assert system.http.post(f"{url}/complete", params=key, json={"parts": parts}).json() == done.json()
    assert system.http.delete(url, params=key).json() == {}
    assert system.wait_status(upload["id"])["bytes"] == len(DATA)


def test_companions_form(system):
    parameters = {
        "filename": "small.bmp",
        "type": "image/bmp",
        "metadata[name]": "small.bmp",
        "metadata[batch]": "b",
    }
    form = system.http.get(f"{S3}/params", params=parameters).json()
    assert (form["method"], form["expires"]) == ("POST", 900)
    data = large_bmp(parts=1)
    assert httpx.post(form["url"], data=form["fields"], files={"file": data}).is_success
    image_id = form["fields"]["key"].split("/")[1]
    assert system.wait_status(image_id)["file_name"] == "small.bmp"
    # Creating a ticket by GET changes something, so another site's page may not do it, not even by <img>.
    for page in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://else.example"}):
        answer = system.http.get(f"{S3}/params", params=parameters, headers=page)
        assert problem(answer, 403) == "cross_origin"
    wrong = parameters | {"metadata[batch]": "a b"}
    assert problem(system.http.get(f"{S3}/params", params=wrong), 422) == "invalid_request"


def test_the_program_of_the_guide_continues_where_it_was_interrupted(system, tmp_path):
    guide = (CHECKOUT / "docs" / "how-to" / "resume-uploads.md").read_text()
    [program] = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "upload.py").write_text(program)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(DATA)
    upload = start(system.http, DATA)
    send(system.http, upload, DATA, 2)
    photo.with_suffix(".upload.json").write_text(json.dumps(upload))
    command = [sys.executable, "upload.py", str(system.http.base_url), "photo.jpg"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    *sent, url = ended.stdout.splitlines()
    assert sent == ["part 1 of 3", "part 3 of 3"]
    assert url.endswith(f"/api/v1/images/{upload['id']}")
    assert system.wait_status(upload["id"])["bytes"] == len(DATA)
    assert not photo.with_suffix(".upload.json").exists()
