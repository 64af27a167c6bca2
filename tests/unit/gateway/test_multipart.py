from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbmill.gateway.uploads.multipart import (
    MAX_BOUNDARY_BYTES,
    MAX_HEADERS_BYTES,
    Marker,
    MultipartError,
    MultipartParser,
)

BOUNDARY = b"xyz"


def parse(body, sizes=(), boundary=BOUNDARY):
    """Return the parts as (headers, content), and whether the body was complete."""
    parser, parts, ended, at = MultipartParser(boundary), [], False, 0
    sizes = [*sizes, len(body)] if sizes else [len(body)]
    for size in sizes:
        for event in parser.feed(body[at : at + size]):
            match event:
                case memoryview():
                    parts[-1][1].extend(event)
                case Marker.END_OF_PART:
                    assert parts
                case Marker.END:
                    ended = True
                case headers:
                    parts.append((dict(headers), bytearray()))
        at += size
    return [(headers, bytes(content)) for headers, content in parts], ended


def bytewise(body):
    return parse(body, [1] * len(body))


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"--xyz\r\na: b\r\n\r\nc\r\n--xyz--", [({"a": b"b"}, b"c")]),
        (b"--xyz\r\na: b\r\n\r\nc\r\n--xyz--\r\nan epilogue\r\n--xyz\r\n", [({"a": b"b"}, b"c")]),
        (b"A preamble -- with hyphens\r\n\r\n-\r\n--xyz\r\na: b\r\n\r\nc\r\n--xyz--\r\n", [({"a": b"b"}, b"c")]),
        (b"\r\n--xyz\r\n\r\nc\r\n--xyz--\r\n", [({}, b"c")]),
        (b"--xyz \t\r\na: b\r\n\r\nc\r\n--xyz  \r\n\r\nd\r\n--xyz-- \r\n", [({"a": b"b"}, b"c"), ({}, b"d")]),
        (b"--xyz\r\nA:\r\n b;\r\n\tc = d\r\ne : f\r\n\r\n\r\n--xyz--", [({"a": b"b;\tc = d", "e": b"f"}, b"")]),
        (b"--xyz\r\na: b\r\n\r\n--xyz--", [({"a": b"b"}, b"")]),  # no content, and no line of its own for it
        (b"--xyz\r\n\r\n\r\n\r\n--xyz--", [({}, b"\r\n")]),
        (b"--xyz\r\na: 1\r\na: 2\r\n\r\n\r\n--xyz--", [({"a": b"1"}, b"")]),
        (b"--xyz--", []),
        (b"--xyz\r\n\r\n--xyzzy\r\n--xyz-\r\n--xyz \n\r\n--xyz--", [({}, b"--xyzzy\r\n--xyz-\r\n--xyz \n")]),
        (b"--xyz\r\n\r\n\r\r\n-\r\n--xy\r\n--xyz--", [({}, b"\r\r\n-\r\n--xy")]),
    ],
)
def test_bodies(body, parts):
    assert parse(body) == (parts, True)
    assert bytewise(body) == (parts, True)


@pytest.mark.parametrize(
    "body",
    [b"", b"--xyz", b"--xyz-", b"--xyz\r\n", b"--xyz\r\na: b\r\n\r\nc", b"--xyz\n\nc\n--xyz--\n", b"x--xyz--"],
)
def test_incomplete_bodies(body):
    assert parse(body)[1] is False
    assert bytewise(body)[1] is False


@pytest.mark.parametrize("header", [b"no colon", b" folded: from nothing", b": x", b"a b: c"])
def test_invalid_header_lines(header):
    with pytest.raises(MultipartError):
        parse(b"--xyz\r\n" + header + b"\r\n\r\nc\r\n--xyz--")


@pytest.mark.parametrize("step", [1, 100, 10 * MAX_HEADERS_BYTES])
@pytest.mark.parametrize("end", [b"", b"\r\n\r\n\r\n--xyz--"])
def test_endless_headers_are_rejected(step, end):
    body = b"--xyz\r\na: " + b"x" * (MAX_HEADERS_BYTES + 100) + end
    with pytest.raises(MultipartError):
        parse(body, [step] * (len(body) // step))


@pytest.mark.parametrize("boundary", [b"", b"x" * (MAX_BOUNDARY_BYTES + 1), b"x ", b"x\r\ny"])
def test_invalid_boundaries(boundary):
    with pytest.raises(MultipartError):
        MultipartParser(boundary)


# Fragments of a delimiter in every combination.
SCRAPS = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"xyz", b"\r\n--xyz", b"\r\n--xyz--", b" ", b"a: b"])
).map(b"".join)


@given(SCRAPS, st.lists(st.integers(1, 9), max_size=60))
def test_chunks_make_no_difference(body, sizes):
    def outcome(sizes):
        try:
            return parse(body, sizes)
        except MultipartError as error:
            return str(error)

    assert outcome(sizes) == outcome([])


@given(st.lists(SCRAPS, min_size=1, max_size=4), SCRAPS)
def test_the_result_equals_that_of_pythons_mail_parser(contents, preamble):
    whole = preamble + b"".join(b"\r\n--xyz\r\nA: b\r\n\r\n" + content for content in contents) + b"\r\n--xyz--\r\n"
    if b"\r\n--xyz" in b"\r\n" + preamble + b"".join(b"\n" + content for content in contents):
        return
    head = b"Content-Type: multipart/mixed; boundary=xyz\r\n\r\n"
    mail = [part.get_payload(decode=True) for part in message_from_bytes(head + whole).get_payload()]
    parts, ended = parse(whole)
    assert ended
    assert [content for _, content in parts] == contents
    if not any(sign in b"".join(contents) for sign in b"\r\n"):  # mail knows other line ends, too
        assert mail == contents
