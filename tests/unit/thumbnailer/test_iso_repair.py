"""AVIF and HEIC files whose boxes are not as the standard has them are shown with their alpha all the same."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.support.images import opened
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging.codecs.isobmff import find_box, read_associations, read_boxes
from thumbmill.thumbnailer.imaging.codecs.isobmff_repair import repair
from thumbmill.thumbnailer.imaging.formats import open_image
from thumbmill.thumbnailer.imaging.pipeline import process_image

SIZE = (96, 64)


def half_clear(kind):
    image = Image.new("RGBA", SIZE, (200, 30, 20, 255))
    image.paste((200, 30, 20, 0), (48, 0, *SIZE))
    file = io.BytesIO()
    image.save(file, kind, quality=95)
    return file.getvalue()


def box(kind, body):
    return (8 + len(body)).to_bytes(4) + kind + body


def ipma(associations, version, wide):
    """Write the box for (item, number of the property, essential)."""
    items = sorted({item for item, _, _ in associations})
    body = bytes((version, 0, 0, wide)) + len(items).to_bytes(4)
    for item in items:
        own = [(index, essential) for each, index, essential in associations if each == item]
        body += item.to_bytes(4 if version else 2) + bytes((len(own),))
        for index, essential in own:
            body += (index | essential << (15 if wide else 7)).to_bytes(2 if wide else 1)
    return box(b"ipma", body)


def with_properties(data, write):
    """Put other ``ipma`` boxes into a file: ``write`` is given the associations and the properties' kinds."""
    meta = find_box(data, 0, len(data), b"meta")
    properties = find_box(data, meta.start + 4, meta.end, b"iprp")
    container, given = (find_box(data, properties.start, properties.end, kind) for kind in (b"ipco", b"ipma"))
    kinds = [each.type for each in read_boxes(data, container.start, container.end)]
    listed = [
        (each.item, each.index, each.is_essential) for each in read_associations(data[given.start : given.end])
    ]
    body = box(b"ipco", data[container.start : container.end]) + write(listed, kinds)
    inside = data[meta.start : properties.start - 8] + box(b"iprp", body) + data[properties.end : meta.end]
    return data[: meta.start - 4] + b"free" + data[meta.start :] + box(b"meta", inside)


def one_box(version=0, wide=0):
    return lambda listed, _: ipma(listed, version, wide)


def a_box_for_each_item(listed, _):
    return b"".join(
        ipma([each for each in listed if each[0] == item], 0, 0) for item in sorted({i for i, *_ in listed})
    )


def a_box_for_each_property(listed, _):
    return b"".join(ipma([each], 0, 0) for each in listed)


def alpha_without_size(listed, kinds):
    clear = {item for item, index, _ in listed if kinds[index - 1] == b"auxC"}
    return ipma([each for each in listed if not (each[0] in clear and kinds[each[1] - 1] == b"ispe")], 0, 0)


def nothing_right(listed, kinds):
    clear = {item for item, index, _ in listed if kinds[index - 1] == b"auxC"}
    kept = [each for each in listed if not (each[0] in clear and kinds[each[1] - 1] == b"ispe")]
    return a_box_for_each_item(kept, kinds)


WAYS = [one_box(), one_box(1, 1), a_box_for_each_item, a_box_for_each_property, alpha_without_size, nothing_right]


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize("way", WAYS)
def test_alpha_is_shown_whatever_box_it_stands_in(kind, way):
    picture = process_image(with_properties(half_clear(kind), way), make_options())
    assert (picture.width, picture.height, picture.details.has_alpha) == (*SIZE, True)
    shown = opened(picture.variants[0].data).convert("RGBA")
    assert [shown.getpixel((x, 32))[3] for x in (20, 80)] == [255, 0]
    assert shown.getpixel((20, 32))[:3] == pytest.approx((200, 30, 20), abs=6)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_a_file_that_is_right_is_not_touched(kind):
    data = half_clear(kind)
    assert repair(data) is data


def test_too_many_properties_are_left_to_the_decoder():
    data = with_properties(half_clear("AVIF"), lambda listed, _: ipma([listed[0]] * 255, 0, 0) * 2)
    assert repair(data) is data


def test_size_and_frames_are_those_of_the_repaired_file():
    image = open_image(with_properties(half_clear("AVIF"), a_box_for_each_item))
    assert (image.size, image.n_frames, image.mode) == (SIZE, 1, "RGBA")


@given(st.data())
def test_no_bytes_upset_it(data):
    harmed = bytearray(with_properties(half_clear("AVIF"), nothing_right))
    for _ in range(data.draw(st.integers(1, 6))):
        harmed[data.draw(st.integers(0, len(harmed) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(repair(bytes(harmed[: data.draw(st.integers(0, len(harmed)))])), bytes)
