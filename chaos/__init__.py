"""The loss drill; see docs/loss-drill.md. Run it with ``make drill``."""
