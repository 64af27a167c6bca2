import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbmill.gateway.http.content_disposition import read_file_name, read_parameters


def name_in(parameters):
    header = parameters if isinstance(parameters, bytes) else parameters.encode()
    return read_file_name(read_parameters(b"attachment; " + header)[1])


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ('filename="ä b+c 100%.jpg"', "ä b+c 100%.jpg"),
        ("filename=cat.jpg", "cat.jpg"),
        ("FileName = cat.jpg ; size=3", "cat.jpg"),
        ('filename="a;b, c.jpg"; name="file"', "a;b, c.jpg"),
        (r'filename="a\"b\\c.jpg"', "c.jpg"),
        (r'filename="a\"b.jpg"', 'a"b.jpg'),
        ('filename="a%22b%0D%0a.jpg"', 'a"b.jpg'),  # browsers
        ('filename="100%25.jpg"', "100%25.jpg"),
        ('filename="../../etc/passwd"', "passwd"),
        ('filename="C:\\fakepath\\cat.jpg"', "cat.jpg"),
        ('filename="\\\\server\\share\\cat.jpg"', "cat.jpg"),
        ('filename="unterminated.jpg', "unterminated.jpg"),
        ('filename=""', None),
        ("filename=", None),
        ('name="file"', None),
        (b'filename="na\xc3\xafve.jpg"', "naïve.jpg"),
        (b'filename="na\xefve.jpg"', "naïve.jpg"),  # http.client writes Latin-1
        ("filename=a.jpg; filename=b.jpg", "a.jpg"),
    ],
)
def test_plain_names(parameters, name):
    assert name_in(parameters) == name


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ("filename*=UTF-8''na%C3%AFve.jpg", "naïve.jpg"),
        ("filename*=utf-8'de'%e2%82%ac%20rates.jpg", "€ rates.jpg"),
        ("filename*=ISO-8859-1'en'%A3%20rates.jpg", "£ rates.jpg"),
        ("filename*=\"UTF-8''na%C3%AFve.jpg\"", "naïve.jpg"),  # quoted, against the grammar
        ("filename=\"naive.jpg\"; filename*=UTF-8''na%C3%AFve.jpg", "naïve.jpg"),
        ("filename*=UTF-8''na%C3%AFve.jpg; filename=\"naive.jpg\"", "naïve.jpg"),
        ("filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("filename*=UTF-8''%E2%80%AEgpj.exe", "gpj.exe"),
        ("filename*=UTF-8''%FF.jpg", "\ufffd.jpg"),
        # An invalid extended name is skipped for the plain one.
        ("filename*=no-such-charset''x; filename=a.jpg", "a.jpg"),
        ("filename*=unicode_escape''%5Cx41; filename=a.jpg", "a.jpg"),
        ("filename*=na%C3%AFve.jpg; filename=a.jpg", "a.jpg"),
        ("filename*=; filename=a.jpg", "a.jpg"),
        # RFC 2231
        ("filename*0*=UTF-8''na%C3; filename*1*=%AFve; filename*2=\".jpg\"", "naïve.jpg"),
        ('filename*0="long "; filename*1="name.jpg"; filename=short.jpg', "long name.jpg"),
        ('filename*1="name.jpg"; filename=short.jpg', "short.jpg"),
    ],
)
def test_extended_names(parameters, name):
    assert name_in(parameters) == name


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ('filename="=?utf-8?B?bmHDr3ZlLmpwZw==?="', "naïve.jpg"),
        ('filename="=?UTF-8?Q?na=C3=AFve_pic.jpg?="', "naïve pic.jpg"),
        ('filename="=?utf-8?B?bmHDr3ZlLmpwZw?="', "naïve.jpg"),  # without its padding
        ('filename="=?utf-8*en?q?a?= =?iso-8859-1?q?=E9.jpg?="', "aé.jpg"),
        ('filename="=?utf-8?B?Li4vLi4vZXRjL3Bhc3N3ZA==?="', "passwd"),
        # None of these is one.
        ('filename="=?utf-8?B?!!!!?="', "=?utf-8?B?!!!!?="),
        ('filename="=?no-such?B?eA==?="', "=?no-such?B?eA==?="),
        ('filename="what=?utf-8?Q?a?=.jpg"', "what=?utf-8?Q?a?=.jpg"),
        ('filename="=?.jpg"', "=?.jpg"),
    ],
)
def test_encoded_words(parameters, name):
    assert name_in(parameters) == name


def test_header_values_are_in_lower_case():
    assert read_parameters(b' Form-Data ;NAME="File"') == ("form-data", {"name": "File"})
    assert read_parameters(b"image/PNG") == ("image/png", {})
    assert read_parameters(b"") == ("", {})


@given(st.binary(max_size=200))
def test_any_bytes_are_accepted(header):
    name_in(header)


@given(st.text(st.sampled_from("filename*=0123'\";\\%?-_ utf8BQ="), max_size=80))
def test_anything_that_resembles_a_name_is_accepted(header):
    name_in(header)
