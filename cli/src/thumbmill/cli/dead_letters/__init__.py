"""``thumbmill dead``: list, show, redrive and drop dead letters."""
