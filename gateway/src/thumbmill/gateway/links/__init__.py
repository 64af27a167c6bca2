"""Signed links: URLs of variants that need no key, for browsers, pages of other origins and shared caches."""
