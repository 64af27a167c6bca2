import uuid
from base64 import urlsafe_b64encode
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbmill.gateway.images.pagination import read_cursor, write_cursor
from thumbmill.gateway.problems import Problem


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_is_read_back_unchanged(created_at, image_id):
    assert read_cursor(write_cursor(created_at, image_id)) == (created_at, image_id)


def encoded(text):
    return urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "ä",
        "=",
        encoded("2026-11-22"),
        encoded(f"2026-11-22T00:00:00 {uuid.UUID(int=1)}"),  # a time without an offset is ambiguous
        encoded("2026-11-22T00:00:00+00:00 no-id"),
    ],
)
def test_an_invalid_cursor_is_rejected(cursor):
    with pytest.raises(Problem, match="cursor"):
        read_cursor(cursor)
