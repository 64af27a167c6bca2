"""Idempotency keys as clients send them, and when an object has the bytes of a repeated request."""

import hashlib

import pytest

from thumbmill.core.contracts.identity import ObjectVersion, idempotent_image_id, image_id_of, upload_key
from thumbmill.core.contracts.tenants import TAG_BITS
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.gateway.http.idempotency_key import parse_idempotency_key
from thumbmill.gateway.http.prefer import prefers_existing
from thumbmill.gateway.http.repr_digest import parse_sha256
from thumbmill.gateway.uploads.idempotency import Content, ContentDigests, possible_etags

PART = b"x" * 1000
SHA256 = hashlib.sha256(b"image").digest()


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ([], None),
        (["8e03978e-40d5-43dd-bc93-6894a57f9324"], "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (['"8e03978e-40d5"'], "8e03978e-40d5"),
        ([' "a b" '], "a b"),
        (["a b"], "a b"),
        ([r'"\"quoted\\"'], r'"quoted' + "\\"),
        (["~" * 255], "~" * 255),
        (['"' + "~" * 255 + '"'], "~" * 255),
        (['"' + r"\"" * 255 + '"'], '"' * 255),
    ],
)
def test_a_key_is_quoted_or_bare(values, key):
    assert parse_idempotency_key(values) == key


@pytest.mark.parametrize(
    "values",
    [[""], ['""'], ['"'], ['"a'], [r'"\a"'], ['"a";x=1'], ["é"], ["a\x7f"], ["a\tb"], ["~" * 256], ["a", "a"]],
)
def test_any_other_key_is_invalid(values):
    with pytest.raises(ValueError, match=r"^(it|there) ."):
        parse_idempotency_key(values)


def test_the_id_is_a_function_of_tenant_and_key():
    assert str(idempotent_image_id("a key")) == "e837cc76-5af4-8e04-b382-30be14d187a2"  # for ever
    ids = {idempotent_image_id(key, tenant) for key in ("a", "b") for tenant in ("", "acme", "other")}
    assert len({image_id.int >> TAG_BITS for image_id in ids}) == 6  # not only by the tenant's tag
    for tenant in ("", "acme"):
        image_id = idempotent_image_id("a", tenant)
        assert image_id.version == 8
        assert image_id_of(upload_key(image_id, tenant)) == image_id


def stored(etag, size=1001, *, is_etag_md5=True):
    return ObjectMetadata(ObjectVersion(etag, size, 0), etag, "image/png", {}, is_etag_md5)


def content_of(*parts):
    digests = ContentDigests()
    for part in parts:
        digests.add(part)
    return digests.content()


def md5(data):
    return hashlib.md5(data).hexdigest()  # noqa: S324


def test_the_same_bytes_are_recognized_in_every_form_in_which_they_can_be_stored():
    content = content_of(PART, b"y")
    in_parts = md5(bytes.fromhex(md5(PART)) + bytes.fromhex(md5(b"y"))) + "-2"
    assert content.is_in(stored(md5(PART + b"y")), None)
    assert content.is_in(stored(in_parts), None)
    assert possible_etags([md5(PART), md5(b"y")]) == {in_parts}
    single = md5(bytes.fromhex(md5(PART))) + "-1"
    assert possible_etags([md5(PART)]) == content_of(PART).etags == {md5(PART), single}


def test_other_bytes_are_recognized():
    content = content_of(PART, b"y")
    assert not content.is_in(stored(md5(PART + b"z")), None)
    assert not content.is_in(stored(md5(PART + b"y"), size=1002), None)
    assert not content.is_in(stored("0" * 32 + "-7"), hashlib.sha256(PART + b"z").hexdigest())


def test_without_an_etag_of_the_bytes_the_hash_of_a_done_image_decides():
    content = content_of(PART, b"y")
    encrypted = stored("0" * 32, is_etag_md5=False)
    assert content.is_in(encrypted, content.sha256)
    assert not content.is_in(encrypted, "0" * 64)
    assert content.is_in(encrypted, None)
    assert not content.is_in(stored("0" * 32, size=1, is_etag_md5=False), None)
    assert content.is_in(stored("0" * 32 + "-7"), content.sha256)  # an S3 client may choose other parts
    assert not Content(1001, frozenset()).is_in(stored("0" * 32), content.sha256)


@pytest.mark.parametrize(
    ("values", "digest"),
    [
        ([], None),
        (["md5=:rL0Y20zC+Fzt72VPzMSk2A==:"], None),
        (["sha-256=:eNoozcH5+q37MyfZhyxpdKS1ne65iTnIOQTsD8rqWBM=:"], "78da28"),
        (["md5=:rL0Y20zC+Fzt72VPzMSk2A==:, sha-256 = :eNoozcH5+q37MyfZhyxpdKS1ne65iTnIOQTsD8rqWBM=: "], "78da28"),
        (["sha-512=:x:", "sha-256=:eNoozcH5+q37MyfZhyxpdKS1ne65iTnIOQTsD8rqWBM=:"], "78da28"),
    ],
)
def test_the_digest_of_a_file_is_read(values, digest):
    found = parse_sha256(values)
    assert found == digest or found.startswith(digest)


@pytest.mark.parametrize("value", ["sha-256=abc", "sha-256=:abc:", f"sha-256={SHA256.hex()}", "sha-256="])
def test_a_digest_of_another_form_is_invalid(value):
    with pytest.raises(ValueError, match="base64"):
        parse_sha256([value])


@pytest.mark.parametrize(
    ("prefer", "wanted"),
    [
        ([], False),
        (["wait=3"], False),
        (["return=existing"], True),
        (['wait=3, Return = "existing"'], True),
        (["return=minimal"], False),
    ],
)
def test_an_existing_image_may_be_preferred(prefer, wanted):
    assert prefers_existing(prefer) == wanted
