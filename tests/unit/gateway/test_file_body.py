import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.uploads.file_body import MAX_EXTRA_PARTS, MAX_OVERHEAD_BYTES, open_file_body

BOUNDARY = "xyz"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(content, disposition='name="file"; filename="a.jpg"'):
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def parse(body, chunks, headers=None):
    reader = open_file_body(headers or FORM)
    received = b"".join(bytes(piece) for chunk in chunks(body) for piece in reader.feed(chunk))
    reader.finish()
    return received, reader.file_name


def whole(body):
    return [body]


def bytewise(body):
    return [body[i : i + 1] for i in range(len(body))]


# Push parsers fail at bytes that resemble the start of a boundary.
CONTENT = b"\xff\xd8\xff image \r\n--xy\r\n--xyw\r\r\n-\r\n--\x00\r\n"


@pytest.mark.parametrize("chunks", [whole, bytewise])
def test_the_bytes_of_the_file_are_unchanged(chunks):
    fields = part(b"ignored", 'name="title"') + part(CONTENT) + part(b"also", 'name="other"; filename="b.jpg"')
    assert parse(fields + END, chunks) == (CONTENT, "a.jpg")


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), min_size=1))
def test_any_content_in_any_chunks_is_unchanged(content, sizes):
    body, chunks = part(content) + END, []
    while body:
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(body[:size])
        body = body[size:]
    if b"\r\n--" + BOUNDARY.encode() not in b"\r\n" + content:
        assert parse(b"", lambda _: chunks)[0] == content


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", Code.MALFORMED_FORM),
        (part(b"x"), Code.MALFORMED_FORM),  # the client disconnected before the closing boundary
        (b"no form at all", Code.MALFORMED_FORM),
        (part(b"x", 'name="image"; filename="a.jpg"') + END, Code.MISSING_FILE),
        (END, Code.MISSING_FILE),
        (part(b"x") + part(b"y") + END, Code.SEVERAL_FILES),
    ],
)
@pytest.mark.parametrize("chunks", [whole, bytewise])
def test_rejected_forms(body, code, chunks):
    with pytest.raises(Problem) as rejection:
        parse(body, chunks)
    assert rejection.value.code is code


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("multipart/form-data", Code.MALFORMED_FORM),
        (f"multipart/form-data; boundary={'x' * 300}", Code.MALFORMED_FORM),
        ("application/json", Code.UNSUPPORTED_CONTENT_TYPE),
        ("", Code.UNSUPPORTED_CONTENT_TYPE),
    ],
)
def test_bodies_that_are_rejected_unread(content_type, code):
    with pytest.raises(Problem) as rejection:
        open_file_body({"content-type": content_type})
    assert rejection.value.code is code


def test_a_raw_body_is_the_file():
    headers = {"content-type": "image/png", "content-disposition": 'attachment; filename="cat.png"'}
    assert parse(CONTENT, bytewise, headers) == (CONTENT, "cat.png")
    assert parse(CONTENT, whole, {"content-type": "image/png"}) == (CONTENT, None)


def test_the_extended_file_name_takes_precedence():
    disposition = "name=file; filename=\"=?utf-8?B?bmHDr3ZlLmpwZw==?=\"; filename*=utf-8''na%C3%AFve%20%E2%82%AC"
    assert parse(part(b"x", disposition) + END, bytewise)[1] == "naïve €"


def test_a_field_name_may_be_an_encoded_word():
    assert parse(part(b"x", 'name="=?utf-8?B?ZmlsZQ==?="; filename=a.jpg') + END, whole) == (b"x", "a.jpg")


def test_a_content_type_in_any_case_with_a_quoted_boundary():
    headers = {"content-type": 'Multipart/Form-Data; charset=utf-8; Boundary="xyz"'}
    assert parse(part(CONTENT) + END, whole, headers) == (CONTENT, "a.jpg")
    assert parse(CONTENT, whole, {"content-type": "IMAGE/JPEG; q=1"}) == (CONTENT, None)


@pytest.mark.parametrize("chunks", [whole, bytewise])
def test_a_form_up_to_the_limits_is_accepted(chunks):
    small = part(b"", "name=x") * (MAX_EXTRA_PARTS - 1)
    room = MAX_OVERHEAD_BYTES - len(small + part(b"", "name=x") + part(b"") + END)
    form = part(b"y" * room, "name=x") + small + part(CONTENT * 100) + END
    assert parse(form, chunks)[0] == CONTENT * 100
    with pytest.raises(Problem) as rejection:
        parse(form + b"\n", chunks)
    assert rejection.value.code is Code.FORM_TOO_LARGE


@pytest.mark.parametrize(
    "body",
    [
        part(b"", "name=x") * (MAX_EXTRA_PARTS + 1) + part(b"x") + END,
        part(b"x") + f"--{BOUNDARY}\r\n\r\n\r\n".encode() * (MAX_EXTRA_PARTS + 1) + END,
        part(b"x" * MAX_OVERHEAD_BYTES, "name=x") + part(b"x") + END,
        part(b"x") + part(b"x" * MAX_OVERHEAD_BYTES, "name=x") + END,
        b"x" * MAX_OVERHEAD_BYTES + b"\r\n" + part(b"x") + END,
        part(b"x") + END + b"x" * MAX_OVERHEAD_BYTES,
    ],
    ids=["parts before", "parts after", "field before", "field after", "preamble", "epilogue"],
)
def test_a_form_over_the_limits_is_rejected(body):
    with pytest.raises(Problem) as rejection:
        parse(body, whole)
    assert (rejection.value.code, rejection.value.status) == (Code.FORM_TOO_LARGE, 400)


def test_many_empty_parts_are_rejected_at_the_limit():
    reader = open_file_body(FORM)
    for _ in range(MAX_EXTRA_PARTS):
        reader.feed(part(b"", "name=x"))
    with pytest.raises(Problem):
        reader.feed(part(b"", "name=x"))
