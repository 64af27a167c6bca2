"""HTTP/1.1 for hostile clients: limits, headers, media types, proxies."""
