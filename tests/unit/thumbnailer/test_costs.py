"""Which images are accepted, slow or rejected by their estimated cost, before they are decoded."""

import pytest

from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.model import Limits, SlowImageError, UndecodableImageError
from thumbmill.thumbnailer.imaging.preflight.costs import (
    FORMATS,
    Headers,
    check_cost,
    check_scans,
    check_size,
    estimate_cost,
)
from thumbmill.thumbnailer.settings import Settings

MEBIBYTE = 2**20
DEFAULT = Limits(
    file_bytes=Settings.model_fields["max_upload_bytes"].default,
    pixels=Settings.model_fields["max_pixels"].default,
    memory_bytes=Settings.model_fields["decode_memory_bytes"].default,
    seconds=Settings.model_fields["decode_timeout_seconds"].default,
)
PHONES = [(8160, 6144), (8192, 6144), (9504, 6336), (12000, 9000), (16382, 3628)]
LARGEST = (16320, 12240)  # 200 megapixels, the most of any phone


def lane(headers, limits=DEFAULT):
    """Return the lane in which an image is decoded, or the code with which it is rejected."""
    try:
        check_cost(headers, limits, slow=False)
    except SlowImageError:
        check_cost(headers, limits, slow=True)
        return "slow"
    except UndecodableImageError as error:
        return error.code
    return "ordinary"


def jpeg(size, mebibytes, eighths, scans=0, coefficient_bytes=0):
    return Headers(
        "JPEG",
        size,
        mebibytes * MEBIBYTE,
        decoded_share=eighths**2 / 64,
        scans=scans,
        coefficient_bytes=coefficient_bytes,
    )


@pytest.mark.parametrize("size", PHONES, ids=str)
@pytest.mark.parametrize("kind", FORMATS)
def test_images_of_phones_and_cameras_are_accepted_by_default(kind, size):
    assert lane(Headers(kind, size, 20 * MEBIBYTE, has_alpha=False)) in {"ordinary", "slow"}
    assert lane(jpeg(size, 40, eighths=2, scans=10, coefficient_bytes=6)) in {"ordinary", "slow"}


def test_200_megapixels_are_accepted_in_the_formats_of_phones():
    assert lane(jpeg(LARGEST, 45, eighths=2)) == "ordinary"
    assert lane(jpeg(LARGEST, 45, eighths=2, scans=11, coefficient_bytes=3)) == "slow"
    assert lane(Headers("HEIF", LARGEST, 40 * MEBIBYTE, has_alpha=False)) == "slow"


@pytest.mark.parametrize("kind", FORMATS)
def test_common_images_are_not_slow(kind):
    assert lane(Headers(kind, (4032, 3024), 5 * MEBIBYTE)) == "ordinary"


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "JPEG"])
def test_images_that_cost_too_much_are_rejected(kind):
    for size in ((30_000, 30_000), (65_535, 65_535), (2**31 - 1, 2**31 - 1)):
        assert lane(Headers(kind, size, 100)) is ErrorCode.IMAGE_TOO_LARGE
        with pytest.raises(UndecodableImageError, match=r"more than|exceed the limit"):
            check_size(size, kind, DEFAULT, slow=True)


def test_cpu_time_is_limited_like_memory():
    limits = Limits(file_bytes=1, pixels=10**9, memory_bytes=2**40, seconds=30)
    headers = Headers("HEIF", (20_000, 20_000), 1)
    assert estimate_cost(headers).seconds == pytest.approx(400e6 * 51e-9)
    with pytest.raises(UndecodableImageError, match=r"need about 20\.4 s of CPU time to decode, more than 15 s"):
        check_cost(headers, limits, slow=True)


def test_every_kept_frame_adds_to_the_cost():
    assert lane(Headers("WEBP", (1000, 1000), 1)) == "ordinary"
    assert lane(Headers("WEBP", (1000, 1000), 1, frames=100)) == "slow"


def test_a_slow_image_is_accepted_in_the_slow_lane():
    headers = Headers("AVIF", (12000, 9000), 1)
    with pytest.raises(SlowImageError, match=r"about 5\.2 s .* MiB"):
        check_cost(headers, DEFAULT, slow=False)
    check_cost(headers, DEFAULT, slow=True)


@pytest.mark.parametrize(
    ("size", "most"), [((100, 100), 100), ((5000, 5000), 100), ((10_000, 5000), 50), (LARGEST, 20)], ids=str
)
def test_a_larger_image_may_have_fewer_scans(size, most):
    check_scans(most, size[0] * size[1], DEFAULT)
    with pytest.raises(UndecodableImageError, match=f"more than {most} scans"):
        check_scans(most + 1, size[0] * size[1], DEFAULT)


def test_the_ordinary_memory_limit_leaves_room_for_the_interpreter():
    assert make_options(memory_bytes=256 * MEBIBYTE).limits.ordinary_memory_bytes == 256 * MEBIBYTE
    assert make_options(memory_bytes=600 * MEBIBYTE).limits.ordinary_memory_bytes == 512 * MEBIBYTE
    assert make_options(memory_bytes=2048 * MEBIBYTE).limits.ordinary_memory_bytes == 1024 * MEBIBYTE
