"""HTTP/1.1 for untrusted clients: limits, headers, content types, reverse proxies."""
