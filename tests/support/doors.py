"""The three doors of the system, used as any client would: a form, a ticket's form, an S3 client."""

import io
from typing import Any

import boto3
import httpx
from botocore.config import Config
from PIL import Image

from support.waiting import wait_until

DONE_SECONDS = 60


def make_photo(seed: int = 0) -> bytes:
    """Return a JPEG of 640 x 480, another for each seed."""
    picture = Image.linear_gradient("L").resize((640, 480))
    bands = [picture, picture.rotate(180), Image.new("L", picture.size, seed % 256)]
    buffer = io.BytesIO()
    Image.merge("RGB", bands).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def post_form(api: httpx.Client, photo: bytes) -> str:
    """Upload through the gateway; return the image's id."""
    answer = api.post("/api/v1/images", files={"file": ("photo.jpg", photo, "image/jpeg")})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def post_ticket(api: httpx.Client, photo: bytes) -> str:
    """Get a ticket and send its form straight to MinIO; return the image's id."""
    answer = api.post("/api/v1/uploads", json={"content_type": "image/jpeg", "file_name": "photo.jpg"})
    assert answer.status_code == 201, answer.text
    ticket = answer.json()
    sent = httpx.post(ticket["form"]["url"], data=ticket["form"]["fields"], files={"file": ("photo.jpg", photo)})
    assert sent.status_code in (200, 201, 204), sent.text
    return ticket["id"]


def put_object(api: httpx.Client, photo: bytes, *, url: str, user: str, password: str, key: str) -> str:
    """Upload with an S3 client under a key of its own; return the image's id, found by the key."""
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=user,
        aws_secret_access_key=password,
        region_name="us-east-1",
        config=config,
    )
    client.put_object(Bucket="images-original", Key=key, Body=photo, ContentType="image/jpeg")
    client.close()
    [item] = wait_until(lambda: _list(api, key), DONE_SECONDS, f"an image under {key}")
    return item["id"]


def wait_done(api: httpx.Client, image_id: str) -> dict[str, Any]:
    """Return the image once it is DONE; fail at once when it is FAILED."""

    def finished() -> dict[str, Any] | None:
        answer = api.get(f"/api/v1/images/{image_id}")
        image = answer.json()
        return image if answer.status_code == 200 and image["status"] in {"DONE", "FAILED"} else None

    image = wait_until(finished, DONE_SECONDS, f"image {image_id} to be DONE")
    assert image["status"] == "DONE", image
    return image


def thumbnail_of(api: httpx.Client, image: dict[str, Any]) -> Image.Image:
    """Fetch and decode the thumbnail by the address that the API gives for it."""
    [thumbnail] = [variant for variant in image["variants"] if variant["type"] == "thumbnail"]
    answer = api.get(thumbnail["url"])
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def _list(api: httpx.Client, key: str) -> list[dict[str, Any]]:
    answer = api.get("/api/v1/images", params={"key": key})
    return answer.json()["items"] if answer.status_code == 200 else []
