import pytest
from structlog.testing import capture_logs


@pytest.fixture(autouse=True)
def logged():
    with capture_logs() as lines:
        yield lines
