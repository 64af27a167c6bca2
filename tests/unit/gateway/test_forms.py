import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.forms import open_body, tame_name
from gateway.problems import Code, Problem

BOUNDARY = "xyz"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(content, disposition='name="file"; filename="a.jpg"'):
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def push(body, chunks, headers=None):
    reader = open_body(headers or FORM)
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
        open_body({"content-type": content_type})
    assert refused.value.code is code


def test_a_raw_body_is_the_file():
    headers = {"content-type": "image/png", "content-disposition": 'attachment; filename="cat.png"'}
    assert push(CONTENT, bytewise, headers) == (CONTENT, "cat.png")
    assert push(CONTENT, whole, {"content-type": "image/png"}) == (CONTENT, None)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('name="file"; filename="ä b+c 100%.jpg"', "ä b+c 100%.jpg"),
        ('name="file"; filename="a%22b.jpg"', 'a"b.jpg'),
        ('name="file"; filename="100%25.jpg"', "100%25.jpg"),
        ('name="file"; filename="../../etc/passwd"', "passwd"),
        ('name="file"; filename="C:\\fakepath\\cat.jpg"', "cat.jpg"),
        ('name="file"; filename=""', None),
        ('name="file"', None),
    ],
)
def test_file_names(disposition, name):
    assert push(part(b"x", disposition) + END, whole)[1] == name


def test_names_are_made_harmless():
    assert tame_name("a\x00b\r\n\u202egpj.jpg") == "abgpj.jpg"
    assert tame_name("..") is None
    assert tame_name("x" * 300) == "x" * 255
