import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from thumbmill.core.contracts.identity import image_id_of, is_upload_key, new_image_id, upload_key, uuid7_timestamp
from thumbmill.core.contracts.tenants import (
    TAG_BITS,
    TENANT_PATTERN,
    Tenant,
    add_tenant_tag,
    has_tenant_tag,
    is_tenant_name,
    tenant_of,
    tenant_prefix,
    tenant_tag,
)

NAMES = st.from_regex(TENANT_PATTERN, fullmatch=True)


@pytest.mark.parametrize(
    ("key", "tenant"),
    [
        ("t/acme/beach.jpg", "acme"),
        ("t/acme/uploads/x/original", "acme"),
        ("t/acme/t/beta/beach.jpg", "acme"),
        ("t/acme/", "acme"),
        ("t/acme/line\nbreak.jpg", "acme"),
        (f"t/{'a' * 32}/x", "a" * 32),
        (f"t/{'a' * 33}/x", ""),
        ("t/acme", ""),
        ("t//x", ""),
        ("t/Acme/x", ""),
        ("t/-acme/x", ""),
        ("t/acme\n/x", ""),
        ("T/acme/x", ""),
        ("x/t/acme/x", ""),
        ("/t/acme/x", ""),
        ("uploads/x/original", ""),
        ("", ""),
    ],
)
def test_the_tenant_follows_from_the_key(key, tenant):
    assert tenant_of(key) == tenant


@given(NAMES, st.text())
def test_every_key_below_a_tenants_prefix_is_its_own(tenant, rest):
    assert is_tenant_name(tenant)
    assert tenant_of(tenant_prefix(tenant) + rest) == tenant


@given(NAMES, NAMES)
def test_an_upload_of_one_tenant_is_never_that_of_another(one, other):
    image_id = new_image_id(one)
    key = upload_key(image_id, one)
    assert image_id_of(key) == image_id
    assert (tenant_of(key), image_id.version, image_id.variant) == (one, 7, uuid.RFC_4122)
    assert uuid7_timestamp(image_id) is not None
    assert is_upload_key(key)
    foreign = upload_key(image_id, other)
    is_same = tenant_tag(one) == tenant_tag(other)
    assert (image_id_of(foreign) == image_id) == is_same
    assert is_upload_key(foreign) == is_same


def test_a_tenant_cannot_claim_the_id_of_the_default_tenant():
    image_id = add_tenant_tag(new_image_id(), "beta")
    key = upload_key(image_id, "acme")
    assert image_id_of(key).version == 5
    assert image_id_of(f"t/acme/{upload_key(add_tenant_tag(image_id, 'acme'))}/x").version == 5
    assert image_id_of(f"t/acme/x/{upload_key(add_tenant_tag(image_id, 'acme'))}").version == 5


def test_the_default_tenants_ids_keep_all_their_random_bits():
    image_id = new_image_id()
    assert add_tenant_tag(image_id, "") == image_id
    assert has_tenant_tag(image_id, "")
    assert upload_key(image_id) == f"uploads/{image_id}/original"


def test_a_tag_is_part_of_a_sha_256():
    # Fixed: stored ids contain it. `printf acme | sha256sum` begins with these 20 bits.
    assert f"{tenant_tag('acme'):05x}" == "822b3"
    assert TAG_BITS == 20
    assert str(add_tenant_tag(uuid.UUID(int=0), "acme")).endswith("822b3")


@pytest.mark.parametrize("name", ["Acme", "-a", "a" * 33, "a b", "a/b", "a\n", "ä"])
def test_other_names_are_rejected(name):
    assert not is_tenant_name(name)
    with pytest.raises(ValidationError, match="a tenant's name"):
        TypeAdapter(Tenant).validate_python(name)


def test_the_default_tenant_has_no_name():
    assert not is_tenant_name("")
    assert TypeAdapter(Tenant).validate_python("") == ""
