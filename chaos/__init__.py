"""The loss drill with injected faults: ``make drill``. docs/loss-drill.md describes it."""
