import uuid

import pytest
from starlette.requests import Request

from thumbmill.core.contracts.storage_events import read_file_name
from thumbmill.gateway.images.delivery import attachment, is_not_modified
from thumbmill.gateway.tracing import traceparent_of
from thumbmill.gateway.uploads.object_metadata import encode_name
from thumbmill.gateway.urls import Links

ID = uuid.UUID("01a2019e-dd49-7c49-9ece-607b56bd764f")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_links_are_absolute():
    links = Links("https://images.example.com/")
    assert links.image(ID) == f"https://images.example.com/api/v1/images/{ID}"
    assert links.variant(ID, "original").endswith(f"/{ID}/variants/original")
    assert links.variant(ID, "thumbnail", "abc-v1").endswith(f"/{ID}/variants/thumbnail?v=abc-v1")


def request_with(name, value):
    headers = [] if value is None else [(name.encode(), value.encode())]
    return Request({"type": "http", "headers": headers})


def test_a_valid_traceparent_is_kept():
    assert traceparent_of(request_with("traceparent", TRACE)) == TRACE


@pytest.mark.parametrize(
    "header", [None, "", "nonsense", TRACE.upper(), TRACE + "\n", f"00-{'0' * 32}-00f067aa0ba902b7-01"]
)
def test_any_other_traceparent_starts_a_new_trace(header):
    created = traceparent_of(request_with("traceparent", header))
    assert created != header
    assert traceparent_of(request_with("traceparent", created)) == created


@pytest.mark.parametrize("name", ["ä b+c 100%.jpg", 'a"b;c.jpg', "日本語" * 85, "\U0001f600" * 255])
def test_file_names_survive_as_metadata(name):
    encoded = encode_name(name)
    assert encoded.isascii()
    assert len(encoded) < 1500
    assert name.startswith(read_file_name({"file-name": encoded}))
    assert len(name) > 100 or read_file_name({"file-name": encoded}) == name


def test_file_names_cannot_inject_header_parameters():
    encoded = attachment('a"; x=\r\né.jpg')
    assert encoded == "attachment; filename=\"a_; x=___.jpg\"; filename*=UTF-8''a%22%3B%20x%3D%0D%0A%C3%A9.jpg"


@pytest.mark.parametrize(
    ("header", "matches"),
    [('"a"', True), ('W/"a"', True), ('"b", W/"a"', True), ("*", True), ('"b"', False), ("", False), ("a", False)],
)
def test_etags_are_compared_weakly(header, matches):
    request = request_with("if-none-match", header)
    assert is_not_modified(request, '"a"') is matches
    assert is_not_modified(request, 'W/"a"') is matches
