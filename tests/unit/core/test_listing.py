"""An incomplete listing is an error."""

import pytest

from thumbmill.core.contracts.identity import ObjectVersion, normalize_etag
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.object_store.listing import ObjectSummary, parse_list_page

HEADERS = {"Date": "Sun, 22 Nov 2026 07:57:38 GMT"}
# Recorded from MinIO, except for the second key and ETag.
PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>images-processed</Name><Prefix></Prefix>\
<NextContinuationToken>QVttaW5pb19jYWNoZTp2MixyZXR1cm46XQ==</NextContinuationToken><KeyCount>2</KeyCount>\
<MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated><Contents><Key>%2541</Key>\
<LastModified>2026-11-22T07:57:38.999Z</LastModified><ETag>&#34;d41d8cd98f00b204e9800998ecf8427e&#34;</ETag>\
<Size>0</Size><StorageClass>STANDARD</StorageClass></Contents><Contents><Key>b%C3%A4r+%2B%0A</Key>\
<LastModified>2200-01-01T00:00:00.000Z</LastModified><ETag>&#34;deadbeef&#34;</ETag><Size>12</Size>\
<StorageClass>STANDARD</StorageClass></Contents><EncodingType>url</EncodingType></ListBucketResult>"""


def test_objects_are_parsed_as_those_of_a_head():
    page = parse_list_page(PAGE.encode(), HEADERS)
    assert page.objects == [
        ObjectSummary("%41", ObjectVersion("d41d8cd98f00b204e9800998ecf8427e", 0, 1795334258)),
        ObjectSummary("bär +\n", ObjectVersion(normalize_etag("deadbeef"), 12, 7258118400)),
    ]
    assert (page.token, page.server_time) == ("QVttaW5pb19jYWNoZTp2MixyZXR1cm46XQ==", 1795334258)


def test_a_folder_marker_is_left_out():
    page = parse_list_page(PAGE.replace("%2541", "%2541/").replace("%2B%0A", "%2B/").encode(), HEADERS)
    assert [entry.key for entry in page.objects] == ["bär +/"], "an object of twelve bytes is none"


def test_the_last_page_has_no_token():
    assert parse_list_page(PAGE.replace("<IsTruncated>true", "<IsTruncated>false").encode(), HEADERS).token == ""


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>a proxy's page</html>",
        PAGE[:-40],  # truncated
        PAGE.replace("<IsTruncated>true</IsTruncated>", ""),
        PAGE.replace("<NextContinuationToken>QVttaW5pb19jYWNoZTp2MixyZXR1cm46XQ==</NextContinuationToken>", ""),
        PAGE.replace("<Size>12</Size>", ""),
        PAGE.replace("2200-01-01", "0000-01-01"),
    ],
)
def test_anything_else_means_that_the_store_is_unavailable(body):
    with pytest.raises(DependencyUnavailable, match="listing"):
        parse_list_page(body.encode(), HEADERS)
