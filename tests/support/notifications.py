"""The recorded notifications of MinIO: where they are, and the keys and the trace that they are about."""

from pathlib import Path

DATA = Path(__file__).parent / "data" / "notifications"
ODD_KEY = (
    "holiday/ä b+c 100% \"q\" 'x' <i>&#?=;:@,$~|^`[]{}!*() \\ %2F "
    "\N{MAN}\N{ZERO WIDTH JOINER}\N{GIRL} e\N{COMBINING ACUTE ACCENT} \N{RIGHT-TO-LEFT OVERRIDE}txt.jpg "
)
OWN_KEY = "uploads/019b2f1c-0f5e-7c3a-8a52-3f0d9a1e77aa/original"
FORM_KEY = "uploads/019b2f1c-1111-7c3a-8a52-3f0d9a1e77bb/original"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
