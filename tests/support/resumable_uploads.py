"""A client of resumable uploads: parts, sent directly to the object store."""

from io import BytesIO

import httpx
from PIL import Image

UPLOADS = "/api/v1/uploads"
PART = 5 * 1024 * 1024


def large_bmp(parts=3, seed=1):
    """Return an image of this many parts, the last one small: a BMP has as many bytes as its pixels."""
    width, height = 2000, (parts - 1) * PART // 6000 + 10
    file = BytesIO()
    Image.linear_gradient("L").resize((width, height)).rotate(seed).convert("RGB").save(file, "BMP")
    return file.getvalue()


def start(http, data, *, headers=None, **more):
    """Start an upload of these bytes; return the response's body."""
    wanted = {"method": "parts", "content_type": "image/bmp", "file_name": "a.bmp", "bytes": len(data)}
    answer = http.post(UPLOADS, json=wanted | more, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def sign(http, upload, *numbers):
    """Return where to PUT these parts, by number."""
    answer = http.post(upload["parts_url"], json={"numbers": numbers})
    assert answer.status_code == 200, answer.text
    return {int(number): part for number, part in answer.json().items()}


def send(http, upload, data, *numbers):
    """Send these parts, by default all; return their ETags by number."""
    etags = {}
    for number, part in sign(http, upload, *(numbers or range(1, upload["part_count"] + 1))).items():
        at = (number - 1) * upload["part_bytes"]
        answer = httpx.put(part["url"], content=data[at : at + part["bytes"]], timeout=60)
        assert answer.status_code == 200, answer.text
        etags[number] = answer.headers["ETag"]
    return etags
