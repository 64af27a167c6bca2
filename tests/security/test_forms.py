"""Multipart forms that try to cost more than their file."""

import pytest

BOUNDARY = "x"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
END = f"--{BOUNDARY}--\r\n".encode()


def part(content=b"", disposition="form-data; name=a", **headers):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n{lines}\r\n".encode() + content + b"\r\n"


FILE = part(b"\xff\xd8\xff", "form-data; name=file; filename=a.jpg")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (part() * 400_000 + FILE + END, "form_too_large"),
        (FILE + part() * 400_000 + END, "form_too_large"),
        (part(b"x" * 1_000_000) + FILE + END, "form_too_large"),
        (b"x\r\n" * 300_000 + FILE + END, "form_too_large"),
        (FILE + END + b"x" * 1_000_000, "form_too_large"),
        (part(x="y" * 1_000_000) + FILE + END, "malformed_form"),
        (part(**{f"x{number}": "y" for number in range(50_000)}) + FILE + END, "malformed_form"),
    ],
    ids=["parts in front", "parts behind", "a field", "a preamble", "an epilogue", "a long header", "many headers"],
)
@pytest.mark.parametrize("segment", [None, 1000])
def test_a_form_has_little_besides_its_file(system, body, code, segment):
    content = body if segment is None else (body[at : at + segment] for at in range(0, len(body), segment))
    answer = system.http.post("/api/v1/images", headers=FORM, content=content)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert system.http.get("/livez").status_code == 200


def test_a_boundary_has_a_maximum_length(system):
    headers = {"Content-Type": f"multipart/form-data; boundary={'x' * 4000}"}
    answer = system.http.post("/api/v1/images", headers=headers, content=b"x")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_form")
