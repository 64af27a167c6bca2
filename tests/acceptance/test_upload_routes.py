"""A photo by every upload route, from upload to thumbnail."""

import io
from contextlib import closing

import pytest
from PIL import Image

from tests.support.images import noise, opened, photo, red_quarter
from tests.support.system import ORIGINALS, PRESETS, PROCESSED, System, problem
from tests.support.waiting import wait_until

STRANGE_KEY = "holiday/ä b+c 100%.jpg"

PUT, POST = "storage.ObjectCreated:Put", "storage.ObjectCreated:Post"
MADE = ["image.processing", "image.done"]


def by_form(system, data):
    return system.post_form(data)["id"]


def by_raw_body(system, data):
    answer = system.http.post("/api/v1/images", content=data, headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"].endswith(f"/api/v1/images/{answer.json()['id']}")
    assert answer.json()["status"] == "PENDING"
    return answer.json()["id"]


def by_ticket(system, data):
    ticket = system.ticket()
    sent = system.send_form(ticket, data)
    assert sent.status_code == 204, sent.text
    return ticket["id"]


def by_s3(system, data):
    system.uploader.put_object(Bucket=ORIGINALS, Key=STRANGE_KEY, Body=data)
    return system.wait_key(STRANGE_KEY)["id"]


def by_older_interface(system, data):
    answer = system.http.post("/upload-image/", files={"file": ("photo.jpg", data, "image/jpeg")})
    assert answer.status_code == 200, answer.text
    observed = answer.json()
    assert observed == {
        "id": observed["id"],
        "filename": "photo.jpg",
        "bucket": ORIGINALS,
        "key": f"uploads/{observed['id']}/original",
        "status": "PENDING",
    }
    return observed["id"]


ROUTES = {  # how to upload, and the resulting event
    "form": (by_form, PUT),
    "raw body": (by_raw_body, PUT),
    "presigned POST": (by_ticket, POST),
    "S3 client": (by_s3, PUT),
    "older interface": (by_older_interface, PUT),
}


@pytest.fixture(scope="module")
def entered(stack):
    """Return one rotated photo by each route; all at once, since DURABLE's event takes up to three seconds."""
    with closing(System(stack)) as system:
        return {
            name: enter(system, photo(800, 600, orientation=6, seed=number))
            for number, (name, (enter, _)) in enumerate(ROUTES.items(), start=1)
        }


@pytest.mark.parametrize("route", ROUTES)
def test_a_photo_by_every_upload_route_becomes_upright_variants(system, entered, route):
    image = system.wait_status(entered[route])
    assert (image["width"], image["height"], image["format"]) == (600, 800, "JPEG")
    assert (image["attempts"], image["generation"], image["error"]) == (1, 1, None)
    original, *variants = image["variants"]
    assert (original["type"], original["bytes"]) == ("original", image["bytes"])
    sizes = {variant["type"]: (variant["width"], variant["height"]) for variant in variants}
    assert sizes == {"thumbnail": (192, 256), "small": (480, 640), "large": (600, 800)}
    for variant in variants:
        data = system.http.get(variant["url"]).content
        thumbnail = opened(data)
        assert thumbnail.size == sizes[variant["type"]]
        assert red_quarter(data) == "right upper"
        assert not thumbnail.getexif()
        assert variant["bytes"] == len(data)


@pytest.mark.parametrize("route", ROUTES)
def test_images_processed_contains_only_the_variants(system, entered, route):
    image = system.wait_status(entered[route])
    keys = {key.rpartition("/")[2].partition(".")[0]: key for key in system.keys(PROCESSED, f"{image['id']}/")}
    assert keys.keys() == set(PRESETS)
    for preset, key in keys.items():
        assert key.endswith(f"/{preset}.jpg")
        stored = system.s3.get_object(Bucket=PROCESSED, Key=key)
        assert stored["ContentType"] == "image/jpeg"
        assert stored["Body"].read() == system.thumbnail(image["id"], preset)


@pytest.mark.parametrize("route", ROUTES)
def test_the_timeline_explains_the_image(system, entered, route):
    system.wait_status(entered[route])
    stored = ROUTES[route][1]
    wanted = [stored, stored, *MADE]
    if route == "presigned POST":
        wanted.append("upload.requested")
    events = wait_until(
        lambda: [events for events in [system.events(entered[route])] if len(events) >= len(wanted)],
        what="the events of both notification targets",
    )[0]
    assert sorted(event["type"] for event in events) == sorted(wanted)
    assert [event["occurred"] for event in events] == sorted(event["occurred"] for event in events)
    targets = {event["recorded_by"] for event in events if event["type"] == stored}
    assert targets == {"immediate", "durable"}
    assert len({event["object_version"] for event in events if event["type"] != "upload.requested"}) == 1


def test_an_s3_client_s_key_is_returned_unchanged(system, entered):
    assert system.image(entered["S3 client"])["key"] == STRANGE_KEY
    assert system.image_of(STRANGE_KEY)["id"] == entered["S3 client"]
    assert system.image_of(STRANGE_KEY.replace("+", " ")) is None


def test_every_exif_orientation_becomes_upright(system):
    upright = {
        1: "left upper", 2: "right upper", 3: "right lower", 4: "left lower",
        5: "left upper", 6: "right upper", 7: "right lower", 8: "left lower",
    }  # fmt: skip
    for orientation in upright:
        system.put(f"orientations/{orientation}.jpg", photo(800, 600, orientation=orientation))
    for orientation, quarter in upright.items():
        data = system.thumbnail(system.wait_key(f"orientations/{orientation}.jpg")["id"])
        assert red_quarter(data) == quarter, orientation
        assert opened(data).size == ((256, 192) if orientation < 5 else (192, 256)), orientation


def test_every_supported_format_becomes_a_thumbnail(system):
    kinds = ("JPEG", "PNG", "WEBP", "GIF")
    ids = {kind: system.post_form(photo(kind=kind), name="a photo")["id"] for kind in kinds}
    for kind, image_id in ids.items():
        assert system.wait_status(image_id)["format"] == kind
        assert red_quarter(system.thumbnail(image_id)) == "left upper"


def test_a_small_image_is_not_enlarged(system):
    image = system.wait_status(system.post_form(photo(40, 30))["id"])
    assert (image["variants"][1]["width"], image["variants"][1]["height"]) == (40, 30)


def test_a_file_of_several_parts_becomes_one_object(system):
    data = noise(2400, 1600)
    assert len(data) > 2 * 5 * 1024 * 1024
    image = system.wait_status(system.post_form(data, name="noise.png")["id"])
    assert system.s3.head_object(Bucket=ORIGINALS, Key=image["key"])["ETag"].endswith('-3"')
    assert system.http.get(image["variants"][0]["url"]).content == data
    assert system.timeline(image["id"])[0] == "storage.ObjectCreated:CompleteMultipartUpload"
    assert image["key"] not in system.multipart_uploads()


def test_an_s3_client_may_use_multipart_uploads(system):
    data, target = noise(2400, 1600), {"Bucket": ORIGINALS, "Key": "holiday/parts.png"}
    upload = {**target, "UploadId": system.uploader.create_multipart_upload(**target)["UploadId"]}
    parts = []
    for number, start in enumerate(range(0, len(data), 5 * 1024**2), 1):
        body = data[start : start + 5 * 1024**2]
        sent = system.uploader.upload_part(**upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    assert len(system.uploader.list_parts(**upload)["Parts"]) == len(parts)
    system.uploader.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert system.wait_key(target["Key"])["format"] == "PNG"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"files": {"file": ("photo.jpg", b"hello, I am text")}}, "unsupported_format"),
        ({"files": {"file": ("photo.jpg", b"")}}, "empty_file"),
        ({"files": {"photo": ("photo.jpg", photo())}}, "missing_file"),
        ({"json": {}}, "unsupported_content_type"),
    ],
)
def test_the_legacy_route_returns_400_for_every_invalid_upload(system, form, code):
    assert problem(system.http.post("/upload-image/", **form), 400) == code


def test_an_unusual_file_signature_is_accepted_by_http_and_s3(system):
    bitmap = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 20)).save(bitmap, "BMP")
    data = bytearray(bitmap.getvalue())
    data[6:10] = b"\x1d\0\x27\0"  # reserved in a bitmap; some programs write a cursor's hot spot there
    system.put("hot spot.bmp", bytes(data))
    images = [system.wait_status(by_raw_body(system, bytes(data))), system.wait_key("hot spot.bmp")]
    assert [(image["status"], image["format"]) for image in images] == [("DONE", "BMP")] * 2


def test_every_upload_route_takes_the_label_of_a_batch(system):
    data, label = photo(), "of_every-Route-1"
    posted = [
        system.http.post(f"/api/v1/images?batch={label}", files={"file": data}),
        system.http.post(f"/upload-image/?batch={label}", files={"file": data}),
    ]
    ticket = system.http.post("/api/v1/uploads", json={"content_type": "image/jpeg", "batch": label}).json()
    assert system.send_form(ticket, data).status_code == 204
    system.uploader.put_object(Bucket=ORIGINALS, Key="labelled.jpg", Body=data, Metadata={"batch": label})
    ids = {answer.json()["id"] for answer in posted} | {ticket["id"], system.wait_key("labelled.jpg")["id"]}
    assert {system.wait_status(image_id)["batch"] for image_id in ids} == {label}
    listed = system.http.get("/api/v1/images", params={"batch": label}).json()["items"]
    assert {image["id"] for image in listed} == ids
    for wrong in ("", "a b", "a" * 65, "a/b", "é"):
        for path, status in (("/api/v1/images", 422), ("/upload-image/", 400)):
            answer = system.http.post(path, params={"batch": wrong}, files={"file": data})
            assert problem(answer, status) == "invalid_request"
        body = {"content_type": "image/jpeg", "batch": wrong}
        assert problem(system.http.post("/api/v1/uploads", json=body), 422) == "invalid_request"
    system.uploader.put_object(Bucket=ORIGINALS, Key="mislabelled.jpg", Body=data, Metadata={"batch": "a b"})
    assert system.wait_key("mislabelled.jpg")["batch"] is None  # not an error of the upload
