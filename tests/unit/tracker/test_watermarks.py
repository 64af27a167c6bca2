from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from thumbmill.tracker import watermarks
from thumbmill.tracker.timeline import ReceivedWatermark
from thumbmill.tracker.watermarks import Watermarks


class Sent(list):
    def publish_event(self, event):
        self.append(ReceivedWatermark(event.id, event.time))


@pytest.fixture
def sent():
    return Sent()


def come_back(marks, sent):
    with marks.track(sent[-1:]) as time:
        return time


def test_one_watermark_is_in_flight_at_a_time(sent):
    marks = Watermarks()
    marks.send(sent)
    marks.send(sent)
    assert len(sent) == 1
    assert come_back(marks, sent) == sent[0].time
    marks.send(sent)
    assert len(sent) == 2


def test_a_lost_watermark_is_followed_by_another(sent, monkeypatch):
    marks = Watermarks()
    marks.send(sent)
    monkeypatch.setattr(watermarks, "LOST_AFTER", timedelta(0))
    marks.send(sent)
    assert len(sent) == 2


def test_a_watermark_sent_before_an_error_does_not_count_but_has_returned(sent):
    marks = Watermarks()
    marks.send(sent)
    with pytest.raises(ValueError, match="an error"), marks.track([]):
        raise ValueError("an error")
    assert come_back(marks, sent) is None
    marks.send(sent)
    assert come_back(marks, sent) == sent[1].time


def test_without_a_watermark_there_is_no_time():
    with Watermarks().track([]) as time:
        assert time is None


def test_of_several_watermarks_the_latest_counts():
    now = datetime.now(UTC)
    with Watermarks().track(
        [ReceivedWatermark(uuid4(), now), ReceivedWatermark(uuid4(), now - timedelta(seconds=9))]
    ) as time:
        assert time == now
