"""Uploads that are repeated: one key makes one image, whatever is lost, and whoever else sends it."""

import base64
import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.images import photo
from tests.support.messages import wait_tracker
from tests.support.resumable_uploads import PART, UPLOADS, large_bmp, send, start
from tests.support.system import ORIGINALS, problem

IMAGES = "/api/v1/images"
RIVALS = 6
LARGE = large_bmp()


@pytest.fixture
def key():
    return f"test {uuid.uuid4()}"


def post(system, data, key, path=IMAGES, *, name="photo.jpg", **headers):
    return system.http.post(
        path, files={"file": (name, data, "image/jpeg")}, headers={"Idempotency-Key": key, **headers}
    )


def check_replay(answer, first):
    assert answer.status_code == 202, answer.text
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.headers["location"] == first.headers["location"]
    assert answer.json() == first.json() | {"status": answer.json()["status"]}


@pytest.mark.parametrize("data", [photo(), LARGE], ids=["small", "large"])
def test_a_repetition_gets_the_first_answer_and_stores_nothing(system, key, data):
    first = post(system, data, key, name="first.jpg")
    assert (first.status_code, "idempotent-replayed" in first.headers) == (202, False), first.text
    image_id = first.json()["id"]
    assert uuid.UUID(image_id).version == 8
    check_replay(post(system, data, f'"{key}"', name="second.jpg"), first)
    assert system.wait_status(image_id)["file_name"] == "first.jpg"
    again = post(system, data, key)
    check_replay(again, first)
    assert again.json()["status"] == "DONE"
    waited = post(system, data, key, Prefer="wait=20")
    assert (waited.status_code, waited.headers["idempotent-replayed"]) == (201, "true")
    assert post(system, data, key, "/upload-image/").json()["id"] == image_id
    wait_tracker(system)
    timeline = system.timeline(image_id)
    assert (timeline.count("image.done"), system.image(image_id)["generation"]) == (1, 1)
    assert len([kind for kind in timeline if kind.startswith("storage.")]) <= 2  # one immediate, one durable
    assert first.json()["key"] not in system.multipart_uploads()


def test_another_file_with_the_same_key_is_refused(system, key):
    first = post(system, photo(), key)
    for data in (photo(seed=2), LARGE):
        assert problem(post(system, data, key), 422) == "idempotency_key_reused"
    assert problem(post(system, photo(seed=2), key, "/upload-image/"), 400) == "idempotency_key_reused"
    assert system.wait_status(first.json()["id"])["sha256"] == hashlib.sha256(photo()).hexdigest()
    large = post(system, LARGE, f"{key} 2").json()
    changed = LARGE[:-1] + bytes([LARGE[-1] ^ 1])
    assert problem(post(system, changed, f"{key} 2"), 422) == "idempotency_key_reused"
    assert large["key"] not in system.multipart_uploads()


def test_the_key_of_a_deleted_image_is_spent(system, key):
    image_id = post(system, photo(), key).json()["id"]
    system.wait_status(image_id)
    with system.frozen("status-tracker"):  # the row is still DONE, and the object is gone
        assert system.http.delete(f"{IMAGES}/{image_id}").status_code == 202
        assert problem(post(system, photo(), key), 409) == "idempotency_key_spent"
    system.wait_status(image_id, "DELETED")
    assert problem(post(system, photo(), key), 409) == "idempotency_key_spent"
    assert problem(post(system, LARGE, key), 409) == "idempotency_key_spent"
    ticket = {"content_type": "image/jpeg"}
    for wanted in (ticket, ticket | {"method": "parts", "bytes": 9}):
        answer = system.http.post(UPLOADS, json=wanted, headers={"Idempotency-Key": key})
        assert problem(answer, 409) == "idempotency_key_spent"
    assert system.keys(ORIGINALS, f"uploads/{image_id}/") == []


@pytest.mark.parametrize("data", [photo(), LARGE], ids=["small", "large"])
def test_of_rivals_with_one_key_one_stores_and_the_others_replay(system, key, data):
    with ThreadPoolExecutor(RIVALS) as pool:
        answers = list(pool.map(lambda _: post(system, data, key), range(RIVALS)))
    assert [answer.status_code for answer in answers] == [202] * RIVALS, [answer.text for answer in answers]
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == RIVALS - 1
    [image_id] = {answer.json()["id"] for answer in answers}
    assert system.wait_status(image_id)["generation"] == 1
    wait_tracker(system)
    assert system.timeline(image_id).count("image.done") == 1


def test_a_retry_after_a_lost_answer_makes_no_second_image(system, key):
    """The connection is cut when the file is stored, and the client sends it again."""
    with system.frozen("rabbitmq"), pytest.raises(httpx.ReadTimeout):  # MinIO answers late: the file is stored
        system.http.post(IMAGES, files={"file": ("a.jpg", photo())}, headers={"Idempotency-Key": key}, timeout=1)
    answer = post(system, photo(), key)
    assert (answer.status_code, answer.headers.get("idempotent-replayed")) == (202, "true"), answer.text
    image = system.wait_status(answer.json()["id"])
    assert image["generation"] == 1


@pytest.mark.parametrize("value", ["", '"open', "é".encode(), "x" * 256])
def test_an_invalid_key_is_refused(system, value):
    answer = system.http.post(
        IMAGES, content=photo(), headers={"Content-Type": "image/jpeg", "Idempotency-Key": value}
    )
    assert problem(answer, 400) == "idempotency_key_invalid"
    answer = system.http.post(UPLOADS, json={"content_type": "image/jpeg"}, headers={"Idempotency-Key": value})
    assert problem(answer, 400) == "idempotency_key_invalid"


# --- tickets ---------------------------------------------------------------------------------------------------


def test_a_ticket_is_renewed_until_its_image_is_uploaded(system, key):
    def ask(**wanted):
        body = {"content_type": "image/jpeg", "file_name": "a.jpg", **wanted}
        return system.http.post(UPLOADS, json=body, headers={"Idempotency-Key": key})

    first, second = ask(), ask()
    assert [first.status_code, second.status_code] == [201, 201], second.text
    image_id = first.json()["id"]
    assert second.json()["id"] == image_id
    assert second.json()["expires_at"] > first.json()["expires_at"]
    wait_tracker(system)
    image = system.image(image_id)
    assert (image["status"], image["expires_at"][:23]) == ("AWAITING_UPLOAD", second.json()["expires_at"][:23])
    assert system.timeline(image_id) == ["upload.requested"] * 2
    assert system.send_form(second.json(), photo()).status_code == 204
    stored = ask()  # before or after the tracker has recorded it
    assert (stored.status_code, stored.headers["idempotent-replayed"]) == (200, "true"), stored.text
    assert stored.json() | {"status": "?"} == {
        "duplicate_of": None,
        "id": image_id,
        "status": "?",
        "key": first.json()["key"],
        "url": stored.headers["location"],
    }
    check_replay_of_form = post(system, photo(), key)
    assert (check_replay_of_form.status_code, check_replay_of_form.json()["id"]) == (202, image_id)
    system.wait_status(image_id)
    assert problem(ask(method="parts", bytes=1), 422) == "idempotency_key_reused"
    assert ask(sha256=hashlib.sha256(photo()).hexdigest()).status_code == 200
    assert problem(ask(sha256="0" * 64), 422) == "idempotency_key_reused"


def test_uploads_in_parts_with_one_key_are_one_image(system, key):
    headers = {"Idempotency-Key": key}
    first, second, other = (start(system.http, LARGE, headers=headers) for _ in range(3))
    assert first["id"] == second["id"] == other["id"]
    assert len({first["upload_id"], second["upload_id"], other["upload_id"]}) == 3
    send(system.http, first, LARGE)
    send(system.http, second, LARGE)
    send(system.http, other, LARGE[:PART] + bytes(len(LARGE) - PART))
    completed = system.http.post(first["complete_url"])
    assert (completed.status_code, "idempotent-replayed" in completed.headers) == (202, False)
    check_replay(system.http.post(second["complete_url"]), completed)
    check_replay(system.http.post(first["complete_url"]), completed)
    check_replay(post(system, LARGE, key), completed)  # cut into the same parts
    assert problem(system.http.post(other["complete_url"]), 422) == "idempotency_key_reused"
    assert system.wait_status(first["id"])["sha256"] == hashlib.sha256(LARGE).hexdigest()
    system.http.delete(f"{UPLOADS}/{first['id']}", params={"upload_id": other["upload_id"]})
    assert first["key"] not in system.multipart_uploads()
    assert system.wait_status(first["id"])["generation"] == 1


def test_an_aborted_upload_can_be_started_again_with_its_key(system, key):
    headers = {"Idempotency-Key": key}
    upload = start(system.http, LARGE, headers=headers)
    assert system.http.delete(f"{UPLOADS}/{upload['id']}", params={"upload_id": upload["upload_id"]}).is_success
    system.wait_status(upload["id"], "EXPIRED")
    answer = post(system, photo(), key)
    assert (answer.status_code, answer.json()["id"]) == (202, upload["id"])
    system.wait_status(upload["id"])


# --- the same bytes ---------------------------------------------------------------------------------------------


def digest_of(data):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def test_an_image_with_the_same_bytes_is_found_before_anything_is_sent(system):
    data = photo() + uuid.uuid4().bytes  # bytes of this test alone
    wanted = {"content_type": "image/jpeg", "sha256": hashlib.sha256(data).hexdigest()}
    plain = {"Content-Type": "image/jpeg"}
    headers = {**plain, "Prefer": "return=existing", "Repr-Digest": digest_of(data)}
    assert system.http.post(UPLOADS, json=wanted).status_code == 201  # nothing with these bytes yet
    first = system.http.post(IMAGES, content=data, headers=headers)
    assert first.status_code == 202, first.text
    image_id = first.json()["id"]
    system.wait_status(image_id)
    second = system.http.post(IMAGES, content=data, headers=plain).json()["id"]  # asks for no other
    system.wait_status(second)
    for answer in (
        system.http.post(UPLOADS, json=wanted),
        system.http.post(UPLOADS, json=wanted | {"method": "parts", "bytes": len(data)}),
        system.http.post(IMAGES, content=b"is not read", headers=headers),
    ):
        assert answer.status_code == 200, answer.text
        assert (answer.json()["duplicate_of"], answer.json()["status"]) == (image_id, "DONE")
        assert answer.headers["location"] == answer.json()["url"]
    assert answer.headers["preference-applied"] == "return=existing"
    malformed = headers | {"Repr-Digest": "sha-256=x"}
    assert problem(system.http.post(IMAGES, content=data, headers=malformed), 422) == "invalid_request"
    system.http.delete(f"{IMAGES}/{image_id}")
    system.wait_status(image_id, "DELETED")
    assert system.http.post(UPLOADS, json=wanted).json()["duplicate_of"] == second
