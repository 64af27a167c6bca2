"""An image with the same bytes is found before a file is sent, within the tenant only."""

import base64

SHA256 = "5e" * 32
TICKET = {"content_type": "image/jpeg", "sha256": SHA256}
PREFERRED = {
    "Content-Type": "image/jpeg",
    "Prefer": "return=existing",
    "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(SHA256)).decode()}:",
}


def test_the_same_bytes_are_found_within_the_tenant_only(fresh, client):
    fresh.put_row(sha256=SHA256, tenant="acme")
    fresh.put_row(sha256=SHA256, status="FAILED")
    assert client.post("/api/v1/uploads", json=TICKET).status_code == 201
    assert client.post("/api/v1/images", content=b"no image", headers=PREFERRED).status_code == 415
    image_id = str(fresh.put_row(sha256=SHA256))
    for answer in (
        client.post("/api/v1/uploads", json=TICKET),
        client.post("/api/v1/images", content=b"no image", headers=PREFERRED),
    ):
        assert (answer.status_code, answer.json()["duplicate_of"]) == (200, image_id), answer.text
