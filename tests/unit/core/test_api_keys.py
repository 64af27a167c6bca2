import re
import zlib

from hypothesis import given
from hypothesis import strategies as st

from thumbmill.core.contracts.api_keys import KEY_PATTERN, digest_of, id_of, is_well_formed, make_key

KEY = make_key()
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def test_a_new_key_is_well_formed_and_shows_its_id():
    assert is_well_formed(KEY.text)
    assert id_of(KEY.text) == KEY.id
    assert re.fullmatch(KEY_PATTERN, KEY.text)
    assert re.search(rf"\b{KEY_PATTERN}\b", f"key={KEY.text};")  # as scanners of leaked secrets find it
    assert KEY.digest == digest_of(KEY.text)
    assert len({make_key().text for _ in range(100)}) == 100


def test_the_checksum_is_the_crc_32_in_base_62():
    assert sum(DIGITS.index(digit) * 62**place for place, digit in enumerate(reversed(KEY.text[-6:]))) == (
        zlib.crc32(KEY.text[:-6].encode())
    )


@given(st.integers(8, len(KEY.text) - 1), st.sampled_from(DIGITS))
def test_a_key_with_one_other_character_is_not_well_formed(place, digit):
    other = KEY.text[:place] + digit + KEY.text[place + 1 :]
    assert is_well_formed(other) == (other == KEY.text)


@given(st.text())
def test_other_texts_are_not_well_formed(text):
    assert not is_well_formed(text)
    assert not is_well_formed(KEY.text + text) or not text
