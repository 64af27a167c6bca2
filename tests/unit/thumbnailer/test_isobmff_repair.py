"""AVIF and HEIC files whose boxes break the standard are decoded with their alpha."""

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


def half_transparent(image_format):
    image = Image.new("RGBA", SIZE, (200, 30, 20, 255))
    image.paste((200, 30, 20, 0), (48, 0, *SIZE))
    file = io.BytesIO()
    image.save(file, image_format, quality=95)
    return file.getvalue()


def box(box_type, body):
    return (8 + len(body)).to_bytes(4) + box_type + body


def ipma(associations, version, wide):
    """Write the box for associations: (item, property index, essential)."""
    items = sorted({item for item, _, _ in associations})
    body = bytes((version, 0, 0, wide)) + len(items).to_bytes(4)
    for item in items:
        own = [(index, essential) for each, index, essential in associations if each == item]
        body += item.to_bytes(4 if version else 2) + bytes((len(own),))
        for index, essential in own:
            body += (index | essential << (15 if wide else 7)).to_bytes(2 if wide else 1)
    return box(b"ipma", body)


def with_properties(data, write):
    """Replace the ``ipma`` box of a file. ``write`` gets the associations and the types of the properties."""
    meta = find_box(data, 0, len(data), b"meta")
    properties = find_box(data, meta.start + 4, meta.end, b"iprp")
    container, given = (find_box(data, properties.start, properties.end, name) for name in (b"ipco", b"ipma"))
    types = [each.type for each in read_boxes(data, container.start, container.end)]
    listed = [
        (each.item, each.index, each.is_essential) for each in read_associations(data[given.start : given.end])
    ]
    body = box(b"ipco", data[container.start : container.end]) + write(listed, types)
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


def alpha_without_ispe(listed, types):
    alphas = {item for item, index, _ in listed if types[index - 1] == b"auxC"}
    return ipma([each for each in listed if not (each[0] in alphas and types[each[1] - 1] == b"ispe")], 0, 0)


def both_errors(listed, types):
    alphas = {item for item, index, _ in listed if types[index - 1] == b"auxC"}
    kept = [each for each in listed if not (each[0] in alphas and types[each[1] - 1] == b"ispe")]
    return a_box_for_each_item(kept, types)


WAYS = [one_box(), one_box(1, 1), a_box_for_each_item, a_box_for_each_property, alpha_without_ispe, both_errors]


@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
@pytest.mark.parametrize("way", WAYS)
def test_alpha_is_decoded_with_any_ipma_boxes(image_format, way):
    result = process_image(with_properties(half_transparent(image_format), way), make_options())
    assert (result.width, result.height, result.details.has_alpha) == (*SIZE, True)
    shown = opened(result.variants[0].data).convert("RGBA")
    assert [shown.getpixel((x, 32))[3] for x in (20, 80)] == [255, 0]
    assert shown.getpixel((20, 32))[:3] == pytest.approx((200, 30, 20), abs=6)


@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
def test_a_valid_file_is_not_changed(image_format):
    data = half_transparent(image_format)
    assert repair(data) is data


def test_too_many_properties_are_left_to_the_decoder():
    data = with_properties(half_transparent("AVIF"), lambda listed, _: ipma([listed[0]] * 255, 0, 0) * 2)
    assert repair(data) is data


def test_size_and_frames_are_those_of_the_repaired_file():
    image = open_image(with_properties(half_transparent("AVIF"), a_box_for_each_item))
    assert (image.size, image.n_frames, image.mode) == (SIZE, 1, "RGBA")


@given(st.data())
def test_random_damage_raises_no_error(data):
    damaged = bytearray(with_properties(half_transparent("AVIF"), both_errors))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(repair(bytes(damaged[: data.draw(st.integers(0, len(damaged)))])), bytes)
