"""A GIF is drawn as in browsers: the expected pixels are Chromium 156's for the same files."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.support.gifs import Frame, gif
from tests.support.images import opened
from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.codecs.gif import decode_first_frame, decode_frames
from thumbmill.thumbnailer.imaging.codecs.gif_blocks import read_gif
from thumbmill.thumbnailer.imaging.model import UndecodableImageError
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

GREY, RED, GREEN, BLUE = (200, 200, 200), (255, 0, 0), (0, 255, 0), (0, 0, 255)
PALETTE = (GREY, RED, GREEN, BLUE)
NAMES = {GREY: "o", RED: "R", GREEN: "G", BLUE: "B", (0, 0, 0): "K"}
KEPT = Preset("kept", width=64, height=64, animated="keep", format="webp")
EIGHT = bytes(range(8)) * 8
INNER = (2, 2, 4, 4)


def drawn(image):
    """Return every second pixel of every second row by its name, with a dot for a transparent pixel."""
    image = image.convert("RGBA")
    pixels = [[image.getpixel((x, y)) for x in range(0, image.width, 2)] for y in range(0, image.height, 2)]
    return " ".join(
        "".join(NAMES[rgb] if alpha else "." for *levels, alpha in row for rgb in [tuple(levels)]) for row in pixels
    )


FIRST_FRAMES = {
    "smaller than the logical screen": (gif(Frame(1, INNER), palette=PALETTE), ".... .RR. .RR. ...."),
    "smaller, with a background": (gif(Frame(1, INNER), palette=PALETTE, background=2), ".... .RR. .RR. ...."),
    "smaller, of all colours": (
        gif(Frame(1, INNER, indices=bytes(range(8)) * 2), palette=PALETTE * 2),
        ".... .oG. .oG. ....",
    ),
    "larger than the logical screen": (
        gif(Frame(1, (4, 4, 4, 4)), size=(6, 6), palette=PALETTE),
        ".... .... ..RR ..RR",
    ),
    "outside": (gif(Frame(1, (6, 6, 2, 2)), size=(4, 4), palette=PALETTE), ".... .... .... ...R"),
    "no logical screen": (gif(Frame(1), size=(0, 0), palette=PALETTE), "RRRR RRRR RRRR RRRR"),
    "no pixels": (gif(Frame(1, (0, 0, 0, 0)), palette=PALETTE), ".... .... .... ...."),
    "a local colour table": (gif(Frame(1, palette=(GREY, BLUE)), palette=PALETTE), "BBBB BBBB BBBB BBBB"),
    "no colour table": (gif(Frame(indices=EIGHT)), "KKKK KKKK KKKK KKKK"),
    "a colour table that is too short": (gif(Frame(indices=EIGHT), palette=PALETTE), "oGKK oGKK oGKK oGKK"),
    "a transparent index": (gif(Frame(indices=EIGHT, transparent=2), palette=PALETTE), "o.KK o.KK o.KK o.KK"),
    "a transparent index, smaller": (gif(Frame(1, INNER, transparent=1), palette=PALETTE), ".... .... .... ...."),
    "interlaced": (
        gif(
            Frame(indices=bytes(b"".join(bytes((i,)) * 8 for i in (1, 2, 3, 1, 2, 3, 1, 2))), interlaced=True),
            palette=PALETTE,
        ),
        "RRRR BBBB GGGG RRRR",
    ),
}


@pytest.mark.parametrize("name", FIRST_FRAMES)
def test_a_first_frame(name):
    data, expected = FIRST_FRAMES[name]
    assert drawn(decode_first_frame(data)) == expected
    result = process_image(data, make_options(Preset("full_size", width=64, height=64, format="png")))
    assert drawn(opened(result.variants[0].data)) == expected
    assert result.details.has_alpha == ("." in expected)


def test_a_first_frame_of_all_256_colours_leaves_the_rest_transparent():
    file = io.BytesIO()
    image = Image.new("P", (16, 16))
    image.putdata(range(256))
    image.putpalette([level for index in range(256) for level in (index, 255 - index, 7)])
    image.save(file, "GIF", optimize=False)
    data = file.getvalue()
    canvas = decode_first_frame(data[:6] + (20).to_bytes(2, "little") * 2 + data[10:])
    assert canvas.size == (20, 20)
    assert canvas.crop((0, 0, 16, 16)).tobytes() == image.convert("RGBA").tobytes()
    assert canvas.getbbox() == (0, 0, 16, 16)


ANIMATIONS = {
    "disposed areas are transparent": (
        [
            Frame(1, disposal=1),
            Frame(2, INNER, disposal=2),
            Frame(3, (0, 0, 2, 2), disposal=3),
            Frame(2, (6, 6, 2, 2)),
        ],
        ["RRRR RRRR RRRR RRRR", "RRRR RGGR RGGR RRRR", "BRRR R..R R..R RRRR", "RRRR R..R R..R RRRG"],
    ),
    "the first is restored to the background": (
        [Frame(1, disposal=2), Frame(2, INNER, disposal=2), Frame(3, (0, 0, 2, 2))],
        ["RRRR RRRR RRRR RRRR", ".... .GG. .GG. ....", "B... .... .... ...."],
    ),
    "the first is restored to the previous": (
        [Frame(1, disposal=3), Frame(2, INNER, disposal=3), Frame(3, (0, 0, 2, 2))],
        ["RRRR RRRR RRRR RRRR", ".... .GG. .GG. ....", "B... .... .... ...."],
    ),
    "disposal method 4 means 3": (
        [Frame(1), Frame(2, INNER, disposal=4), Frame(3, (0, 0, 2, 2))],
        ["RRRR RRRR RRRR RRRR", "RRRR RGGR RGGR RRRR", "BRRR RRRR RRRR RRRR"],
    ),
    "disposal method 5 means nothing": (
        [Frame(1), Frame(2, INNER, disposal=5), Frame(3, (0, 0, 2, 2))],
        ["RRRR RRRR RRRR RRRR", "RRRR RGGR RGGR RRRR", "BRRR RGGR RGGR RRRR"],
    ),
    "partly outside of the logical screen": (
        [Frame(1), Frame(2, (4, 4, 8, 8))],
        ["RRRR RRRR RRRR RRRR", "RRRR RRRR RRGG RRGG"],
    ),
    "a local colour table": (
        [Frame(1), Frame(1, INNER, palette=(GREY, BLUE))],
        ["RRRR RRRR RRRR RRRR", "RRRR RBBR RBBR RRRR"],
    ),
    "a transparent index": (
        [Frame(1), Frame(indices=EIGHT, transparent=2, disposal=2), Frame(3, INNER)],
        ["RRRR RRRR RRRR RRRR", "oRKK oRKK oRKK oRKK", ".... .BB. .BB. ...."],
    ),
}


@pytest.mark.parametrize("name", ANIMATIONS)
def test_an_animation(name):
    frames, expected = ANIMATIONS[name]
    data = gif(*frames, palette=PALETTE)
    assert [drawn(image) for image, _ in decode_frames(data, read_gif(data))] == expected
    lossless = Preset("kept", width=64, height=64, animated="keep", format="png")
    result = process_image(data, make_options(lossless))
    kept = opened(result.variants[0].data)
    assert (result.details.frames, kept.n_frames) == (len(frames), len(frames))
    shown = []
    for number in range(kept.n_frames):
        kept.seek(number)
        shown.append(drawn(kept))
    assert shown == expected


def test_frames_keep_their_delays_and_the_animation_its_number_of_plays():
    frames = [Frame(index, hundredths=hundredths) for index, hundredths in ((1, 3), (2, 100), (3, 1), (2, 0))]
    for loops, num_plays in ((None, 1), (0, 0), (3, 4)):  # three times more
        data = gif(*frames, palette=PALETTE, loops=loops)
        kept = opened(process_image(data, make_options(KEPT)).variants[0].data)
        milliseconds = []
        for number in range(kept.n_frames):
            kept.seek(number)
            kept.load()
            milliseconds.append(kept.info["duration"])
        assert milliseconds == [30, 1000, 10, 100]  # 100 where no delay is given
        assert kept.info["loop"] == num_plays


def test_a_later_frame_may_be_far_outside():
    data = gif(Frame(1), Frame(2, (60_000, 60_000, 8, 8)), Frame(3), palette=PALETTE)
    result = process_image(data, make_options(KEPT))
    assert (result.width, result.height, result.details.frames) == (8, 8, 3)


def test_a_huge_later_frame_of_a_few_bytes_is_rejected():
    data = gif(Frame(1), Frame(1, (0, 0, 65_535, 65_535), indices=b"\1"), palette=PALETTE)
    with pytest.raises(UndecodableImageError) as rejected:
        process_image(data, make_options(KEPT))
    assert rejected.value.code is ErrorCode.IMAGE_TOO_LARGE


@given(st.data())
def test_random_damage_raises_no_error(data):
    damaged = bytearray(gif(Frame(1, INNER, disposal=2), Frame(2, transparent=1), palette=PALETTE, loops=0))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(6, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    parsed = read_gif(bytes(damaged[: data.draw(st.integers(13, len(damaged)))]))
    assert all(frame.start <= frame.end <= len(damaged) and len(frame.palette) == 768 for frame in parsed.frames)
