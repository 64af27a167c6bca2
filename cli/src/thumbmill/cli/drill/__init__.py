"""``thumbmill drill``: the loss drill against a running system."""
