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


def push(body, chunks, headers=None):
    reader = open_file_body(headers or FORM)
    taken = b"".join(bytes(piece) for chunk in chunks(body) for piece in reader.feed(chunk))
    reader.finish()
    return taken, reader.file_name


def whole(body):
    return [body]


def bytewise(body):
    return [body[i : i + 1] for i in range(len(body))]


# What looks like the beginning of a boundary is where push parsers go wrong.
CONTENT = b"\xff\xd8\xff picture \r\n--xy\r\n--xyw\r\r\n-\r\n--\x00\r\n"


@pytest.mark.parametrize("chunks", [whole, bytewise])
def test_the_files_bytes_come_out_as_they_went_in(chunks):
    fields = part(b"ignored", 'name="title"') + part(CONTENT) + part(b"also", 'name="other"; filename="b.jpg"')
    assert push(fields + END, chunks) == (CONTENT, "a.jpg")


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), min_size=1))
def test_any_content_in_any_chunks(content, sizes):
    body, chunks = part(content) + END, []
    while body:
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(body[:size])
        body = body[size:]
    if b"\r\n--" + BOUNDARY.encode() not in b"\r\n" + content:
        assert push(b"", lambda _: chunks)[0] == content


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", Code.MALFORMED_FORM),
        (part(b"x"), Code.MALFORMED_FORM),  # the client went away before the last boundary
        (b"no form at all", Code.MALFORMED_FORM),
        (part(b"x", 'name="picture"; filename="a.jpg"') + END, Code.MISSING_FILE),
        (END, Code.MISSING_FILE),
        (part(b"x") + part(b"y") + END, Code.SEVERAL_FILES),
    ],
)
@pytest.mark.parametrize("chunks", [whole, bytewise])
def test_forms_that_are_refused(body, code, chunks):
    with pytest.raises(Problem) as refused:
        push(body, chunks)
    assert refused.value.code is code


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("multipart/form-data", Code.MALFORMED_FORM),
        (f"multipart/form-data; boundary={'x' * 300}", Code.MALFORMED_FORM),
        ("application/json", Code.UNSUPPORTED_CONTENT_TYPE),
        ("", Code.UNSUPPORTED_CONTENT_TYPE),
    ],
)
def test_bodies_that_are_refused_unread(content_type, code):
    with pytest.raises(Problem) as refused:
        open_file_body({"content-type": content_type})
    assert refused.value.code is code


def test_a_raw_body_is_the_file():
    headers = {"content-type": "image/png", "content-disposition": 'attachment; filename="cat.png"'}
    assert push(CONTENT, bytewise, headers) == (CONTENT, "cat.png")
    assert push(CONTENT, whole, {"content-type": "image/png"}) == (CONTENT, None)


def test_a_name_that_is_given_twice_is_read_in_its_fuller_form():
    disposition = "name=file; filename=\"=?utf-8?B?bmHDr3ZlLmpwZw==?=\"; filename*=utf-8''na%C3%AFve%20%E2%82%AC"
    assert push(part(b"x", disposition) + END, bytewise)[1] == "naïve €"


def test_the_fields_name_may_be_written_as_net_does():
    assert push(part(b"x", 'name="=?utf-8?B?ZmlsZQ==?="; filename=a.jpg') + END, whole) == (b"x", "a.jpg")


def test_a_media_type_has_any_case_and_a_quoted_boundary():
    headers = {"content-type": 'Multipart/Form-Data; charset=utf-8; Boundary="xyz"'}
    assert push(part(CONTENT) + END, whole, headers) == (CONTENT, "a.jpg")
    assert push(CONTENT, whole, {"content-type": "IMAGE/JPEG; q=1"}) == (CONTENT, None)


@pytest.mark.parametrize("chunks", [whole, bytewise])
def test_as_much_as_a_form_may_hold_beside_the_file(chunks):
    small = part(b"", "name=x") * (MAX_EXTRA_PARTS - 1)
    room = MAX_OVERHEAD_BYTES - len(small + part(b"", "name=x") + part(b"") + END)
    form = part(b"y" * room, "name=x") + small + part(CONTENT * 100) + END
    assert push(form, chunks)[0] == CONTENT * 100
    with pytest.raises(Problem) as refused:
        push(form + b"\n", chunks)
    assert refused.value.code is Code.FORM_TOO_LARGE


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
    ids=["parts in front", "parts behind", "field in front", "field behind", "preamble", "epilogue"],
)
def test_more_than_a_form_may_hold_beside_the_file(body):
    with pytest.raises(Problem) as refused:
        push(body, whole)
    assert (refused.value.code, refused.value.status) == (Code.FORM_TOO_LARGE, 400)


def test_a_flood_of_empty_parts_is_given_up_at_the_limit():
    reader = open_file_body(FORM)
    for _ in range(MAX_EXTRA_PARTS):
        reader.feed(part(b"", "name=x"))
    with pytest.raises(Problem):
        reader.feed(part(b"", "name=x"))
