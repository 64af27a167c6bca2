"""Details of an original: sanitized text from EXIF, its dominant colour and its ThumbHash."""

import base64
import io

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from tests.support.images import ORIENTATION, photo
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.imaging.placeholder import make_placeholders

MAKE, MODEL, EXIF, GPS, TAKEN, OFFSET, LENS = 0x010F, 0x0110, 0x8769, 0x8825, 0x9003, 0x9011, 0xA434


def written(image, kind="JPEG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def details_of(data, **changed):
    return process_image(data, make_options(**changed)).details


def shot(*, make="Fairphone", model="FP4", gps=None, **of_shot):
    exif = Image.Exif()
    exif[MAKE], exif[MODEL] = make, model
    exif.get_ifd(EXIF).update({TAKEN: "2026:05:04 12:34:56"} | {int(tag[1:], 16): of_shot[tag] for tag in of_shot})
    if gps:
        exif.get_ifd(GPS).update(gps)
    return exif


GREENWICH = {1: "N", 2: (51.0, 28.0, 40.2), 3: "W", 4: (0.0, 0.0, 5.4)}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_details_have_the_camera_and_the_time(kind):
    exif = shot(x9011="+02:00", xA434="28 mm f/1.8", gps=GREENWICH)
    details = details_of(written(Image.new("RGB", (60, 40)), kind, exif=exif.tobytes()))
    assert (details.taken_at, details.camera, details.lens) == (
        "2026-05-04T12:34:56+02:00",
        "Fairphone FP4",
        "28 mm f/1.8",
    )


def test_details_have_the_gps_position_only_if_the_options_keep_it():
    data = written(Image.new("RGB", (60, 40)), exif=shot(gps=GREENWICH))
    assert details_of(data).gps is None
    place = details_of(data, keep_gps=True).gps
    assert (place.latitude, place.longitude) == pytest.approx((51.477833, -0.0015))


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("", "FP4", "FP4"),
        ("Maker\0hidden", "", "Maker"),
        ("two\nlines", "\x1b[31mred", "two lines [31mred"),
        ("M" * 500, "", "M" * 100),
    ],
)
def test_the_name_of_a_camera_is_one_short_line(make, model, camera):
    assert details_of(written(Image.new("RGB", (60, 40)), exif=shot(make=make, model=model))).camera == camera


@pytest.mark.parametrize("moment", ["0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday", "2026:05:04", 5])
def test_a_malformed_time_is_omitted(moment):
    assert details_of(written(Image.new("RGB", (60, 40)), exif=shot(x9003=moment))).taken_at is None


@pytest.mark.parametrize(
    "moment",
    [
        "2026:00:04 12:34:56",
        "2026:13:04 12:34:56",
        "2026:02:30 12:34:56",
        "2025:02:29 12:34:56",
        "2026:05:00 12:34:56",
        "2026:05:04 25:34:56",
        "2026:05:04 24:00:00",
        "2026:05:04 12:60:56",
        "2026:05:04 12:34:61",
        "0000:05:04 12:34:56",
        "2026\0:05:04 12:34:56",
        "\0" * 19,
        "\uff12\uff10\uff12\uff16:05:04 12:34:56".encode(),
        b"\xff" * 19,
        (1, 2),
        2.5,
    ],
    ids=repr,
)
def test_an_impossible_time_is_omitted(moment):
    details = details_of(written(Image.new("RGB", (60, 40)), exif=shot(x9003=moment)))
    assert (details.taken_at, details.camera) == (None, "Fairphone FP4")


def test_the_29th_of_february_is_valid():
    assert details_of(written(Image.new("RGB", (60, 40)), exif=shot(x9003="2024:02:29 23:59:59\0"))).taken_at == (
        "2024-02-29T23:59:59"
    )


@pytest.mark.parametrize(
    ("offset", "suffix"),
    [("+14:00", "+14:00"), ("-09:30", "-09:30"), ("+00:00\0", "+00:00")]
    + [
        (odd, "")
        for odd in ("+99:99", "+15:00", "-02:60", "+2:00", "Z", "\0", "", 7, b"\xff\0", "+\uff10\uff12:00".encode())
    ],
    ids=repr,
)
def test_an_invalid_utc_offset_is_omitted(offset, suffix):
    details = details_of(written(Image.new("RGB", (60, 40)), exif=shot(x9011=offset)))
    assert details.taken_at == "2026-05-04T12:34:56" + suffix


XMP_ON_ITS_SIDE = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF>'
    b"</x:xmpmeta>"
)


def with_xmp(kind, **options):
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP_ON_ITS_SIDE.decode())
        return written(Image.new("RGB", (60, 40)), kind, pnginfo=info, **options)
    if kind == "TIFF":
        options["tiffinfo"] = {700: XMP_ON_ITS_SIDE, **options.pop("tiffinfo", {})}
        return written(Image.new("RGB", (60, 40)), kind, **options)
    upright = XMP_ON_ITS_SIDE.replace(b'"6"', b'"1"')  # otherwise the HEIC writer would rotate the image
    data = written(Image.new("RGB", (60, 40)), kind, xmp=upright, **options)
    assert upright in data
    return data.replace(upright, XMP_ON_ITS_SIDE)


def size_of(data):
    result = process_image(data, make_options())
    assert (result.variants[0].width, result.variants[0].height) == (result.width, result.height)
    return result.width, result.height


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_only_exif_determines_the_orientation(kind):
    assert size_of(with_xmp(kind)) == (60, 40)
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    turned = {"tiffinfo": {ORIENTATION: 8}} if kind == "TIFF" else {"exif": exif.tobytes()}
    assert size_of(with_xmp(kind, **turned)) == (40, 60)


def test_the_orientation_in_imagemagick_s_text_chunk_is_ignored():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    raw = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(raw):8}\n{raw.hex()}\n")
    for compressed in (False, True):
        info.add_text("Raw profile type APP1", f"\ngeneric profile\n{len(raw):8}\n{raw.hex()}\n", zip=compressed)
    assert size_of(written(Image.new("RGB", (60, 40)), "PNG", pnginfo=info)) == (60, 40)


@pytest.mark.parametrize("gps", [{1: "N"}, GREENWICH | {2: (151.0, 0.0, 0.0)}, GREENWICH | {2: (1.0,)}], ids=str)
def test_an_invalid_gps_position_is_omitted(gps):
    data = written(Image.new("RGB", (60, 40)), exif=shot(gps=gps))
    assert details_of(data, keep_gps=True).gps is None


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_invalid_metadata_are_omitted():
    details = details_of(written(Image.new("RGB", (60, 40)), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\xff" + b"\x99" * 99))
    assert (details.taken_at, details.camera, details.lens) == (None, None, None)


@pytest.mark.parametrize(
    ("mode", "kind", "space"), [("RGB", "JPEG", "sRGB"), ("L", "PNG", "Grey"), ("CMYK", "JPEG", "CMYK")]
)
def test_the_colour_space_without_a_profile_is_that_of_the_mode(mode, kind, space):
    assert details_of(written(Image.new(mode, (60, 40)), kind)).colour_space == space


def test_the_colour_space_is_the_name_of_the_profile():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = written(Image.new("RGB", (60, 40)), icc_profile=profile.replace(b"s\0R\0G\0B", b"W\0i\0d\0e"))
    assert details_of(data).colour_space.startswith("Wide")
    assert details_of(written(Image.new("RGB", (60, 40)), icc_profile=b"x" * 200)).colour_space == "sRGB"


def test_details_have_frames_and_alpha():
    frames = [Image.new("RGBA", (60, 40), (red, 0, 0, 99)) for red in (0, 100, 200)]
    moving = details_of(written(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    assert (moving.frames, moving.has_alpha) == (3, True)
    still = details_of(written(Image.new("RGBA", (60, 40), (0, 0, 0, 255)), "PNG"))
    assert (still.frames, still.has_alpha) == (1, False)  # its alpha is opaque
    fax = [Image.new("L", (60, 40))] * 3
    assert details_of(written(fax[0], "TIFF", save_all=True, append_images=fax[1:])).frames == 3


def test_the_dominant_colour_is_the_most_frequent_and_not_the_mean():
    image = Image.new("RGB", (300, 200), (200, 30, 30))
    image.paste((20, 20, 220), (0, 0, 100, 200))
    red, green, blue = bytes.fromhex(details_of(written(image, "PNG")).dominant_colour[1:])
    assert (red, green, blue) == pytest.approx((200, 30, 30), abs=12)


def test_the_dominant_colour_ignores_transparent_pixels():
    image = Image.new("RGBA", (300, 200), (0, 255, 0, 0))
    image.paste((200, 30, 30, 255), (0, 0, 100, 200))
    red, green, blue = bytes.fromhex(details_of(written(image, "PNG")).dominant_colour[1:])
    assert (red, green, blue) == pytest.approx((200, 30, 30), abs=12)


# Hashes of these pixels by the reference implementation, version 0.1.1.
HASHES = {
    "4PcJPZyAh4dweHh4iHiHh4BwCPiI": (24, 16, lambda x, y: (255 * x // 23, 255 * y // 15, 128, 255)),
    "1okJWxiAm3iIiId4iG8oB4c=": (9, 24, lambda x, y: (x * 20, 255 - y * 10, (x * y) % 256, 255)),
    "2tUKRxSAeId5iHh3iIh4d4h39/iPid8I": (
        20,
        20,
        lambda x, y: (255, 0, 0, 255) if x < 10 > y else (x * 9, 40, 255 - y * 5, 255),
    ),
    "11qFEwhYBKt3h3gEq0dAhY91iIh3iHg=": (
        16,
        24,
        lambda x, y: (10 + x * 20, 200 - y * 3, 30, 255) if x < 8 else (0, 0, 0, 0),
    ),
}


@pytest.mark.parametrize(("expected", "pixel_rule"), HASHES.items())
def test_the_thumbhash_equals_that_of_the_reference_implementation(expected, pixel_rule):
    width, height, pixel = pixel_rule
    image = Image.new("RGBA", (width, height))
    image.putdata([pixel(x, y) for y in range(height) for x in range(width)])
    opaque = image.getchannel("A").getextrema() == (255, 255)
    _, thumbhash = make_placeholders(image.convert("RGB") if opaque else image)
    thumbhash, reference = base64.b64decode(thumbhash), base64.b64decode(expected)
    assert len(thumbhash) == len(reference)
    # The thumbnailer rounds the channels to whole levels before the transform.
    assert levels(thumbhash) == pytest.approx(levels(reference), abs=1)


def levels(hashed):
    """Split a hash into its DC values and scales, and the four bits of each AC coefficient."""
    head, shape = int.from_bytes(hashed[:3], "little"), int.from_bytes(hashed[3:5], "little")
    means = [head & 63, head >> 6 & 63, head >> 12 & 63, head >> 18 & 31, head >> 23]
    form = [shape & 7, shape >> 3 & 63, shape >> 9 & 63, shape >> 15]
    return means + form + [half for byte in hashed[5:] for half in (byte & 15, byte >> 4)]


def test_the_smallest_image_has_a_thumbhash():
    details = details_of(written(Image.new("RGB", (1, 1), (255, 255, 255)), "PNG"))
    assert len(base64.b64decode(details.thumbhash)) > 5
    assert details.dominant_colour == "#ffffff"


def test_the_thumbhash_is_that_of_the_oriented_image():
    upright = details_of(photo(400, 300))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    lying = Image.open(io.BytesIO(photo(400, 300))).transpose(Image.Transpose.ROTATE_90)
    turned = details_of(written(lying, quality=95, exif=exif))
    shape_of = [base64.b64decode(details.thumbhash)[4] >> 7 for details in (upright, turned)]
    assert shape_of == [1, 1]  # the bit for landscape
