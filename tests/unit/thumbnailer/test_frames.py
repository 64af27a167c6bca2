import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from thumbnailer import frames
from thumbnailer.child_process import read_answer


def pair():
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.settimeout(5)
    return ours, theirs


def test_a_frame_survives_the_socket():
    ours, theirs = pair()
    with ours, theirs, ThreadPoolExecutor(1) as thread:
        parts = [b"", b"x" * 3_000_000, b"y"]
        sent = thread.submit(frames.send, ours, {"a": ["ö"]}, *parts)
        assert frames.receive(theirs, 4_000_000) == ({"a": ["ö"]}, parts)
        sent.result()


def test_a_frame_has_its_limit():
    ours, theirs = pair()
    with ours, theirs:
        frames.send(ours, {}, b"12345")
        with pytest.raises(ValueError, match="5"):
            frames.receive(theirs, 4)


def test_an_end_in_the_middle_is_told():
    ours, theirs = pair()
    with ours, theirs:
        ours.sendall(b"\0\0\0\x20{")
        ours.close()
        with pytest.raises(frames.HungUpError):
            frames.receive(theirs, 100)


DETAILS = {"frames": 1, "has_alpha": False, "colour_space": "sRGB", "dominant_colour": "#808080", "thumbhash": ""}


def answered(**details):
    picture = {"format": "JPEG", "width": 1, "height": 1, "renditions": []}
    return {"picture": {**picture, "details": DETAILS | details}}


def test_an_answer_that_makes_sense_is_understood():
    assert read_answer(answered(gps={"latitude": 51.5, "longitude": 0}), []).details.gps.latitude == 51.5


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"picture": {}},
        answered(frames=0),
        answered(gps={"latitude": 999, "longitude": 0}),
        answered(gps={"latitude": float("nan"), "longitude": 0}),
        {"picture": {"format": "EXE", "width": 1, "height": 1, "renditions": []}},
        {"picture": {"format": "JPEG", "width": 1, "height": 1, "renditions": [{}]}},
        {"bad": "no such code", "detail": ""},
    ],
)
def test_a_child_that_was_taken_over_can_say_nothing_harmful(answer):
    with pytest.raises((ValueError, TypeError, KeyError)):
        read_answer(answer, [])
