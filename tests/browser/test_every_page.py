"""Every page of the console, in both themes: it is accessible, narrow screens need no sideways scrolling."""

import pytest
from playwright.sync_api import expect

from tests.support.browser import find_violations

PAGES = ["/", "/upload", "/failures", "/pipeline", "/reconcile", "/events", "/settings", "/nowhere"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(new_console, scheme):
    with new_console(color_scheme=scheme) as console:
        tab = console.open()
        violations = {}
        for path in PAGES:
            tab.goto(f"/ui{path}")
            expect(tab.locator("h1, h2").first).to_be_visible()
            violations[path] = find_violations(tab)
        assert not {path: found for path, found in violations.items() if found}


def test_nothing_is_wider_than_a_narrow_screen(new_console):
    with new_console(viewport={"width": 360, "height": 740}) as console:
        tab = console.open()
        for path in PAGES:
            tab.goto(f"/ui{path}")
            expect(tab.locator("h1, h2").first).to_be_visible()
            assert tab.evaluate("document.documentElement.scrollWidth") <= 360, path
