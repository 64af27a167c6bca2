"""Debian's Chromium on the web console, driven by Playwright. What the browser complains about fails a test."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from devstack.installation import CHECKOUT

AXE = CHECKOUT / "web" / "node_modules" / "axe-core" / "axe.min.js"
TIMEOUT_MS = 20_000  # generous: a page waits for the whole pipeline
_REPORT_CSP = """
addEventListener("securitypolicyviolation", (event) =>
    console.error(`Content-Security-Policy: ${event.violatedDirective} blocked ${event.blockedURI}`));
"""


@contextmanager
def run_browser() -> Iterator[Browser]:
    """Yield a browser without windows."""
    program = shutil.which("chromium")
    assert program, "there is no chromium: `python -m devstack setup` installs it"
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root, which runs the tests in a container.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


class Console:
    """The web console in one browser profile: its tabs share a session, and all of them are watched."""

    def __init__(self, browser: Browser, gateway: str, **options) -> None:
        self.complaints: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        options = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **options}
        self.context: BrowserContext = browser.new_context(base_url=gateway, **options)
        self.context.set_default_timeout(TIMEOUT_MS)
        self.context.add_init_script(_REPORT_CSP)

    def open(self, path: str = "/ui/") -> Page:
        """Open a tab."""
        page = self.context.new_page()
        page.on("console", lambda message: self._note(message.type, f"{message.text} ({message.location['url']})"))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        # Asked for at once: asked for just before a click, Chromium may take the click first, and open no dialog.
        page.on("filechooser", lambda _: None)
        page.goto(path)
        return page

    def expect(self, pattern: str) -> None:
        """Allow what the browser says of failures that the test causes, such as a 401."""
        self._expected.append(re.compile(pattern))

    def close(self) -> None:
        """Close all tabs. Raise AssertionError if the browser complained about one."""
        self.context.close()
        unexpected = [
            text for text in self.complaints if not any(pattern.search(text) for pattern in self._expected)
        ]
        assert not unexpected, "\n".join(["the browser reported:", *unexpected])

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(f"{kind}: {text}")


def find_violations(page: Page) -> list[str]:
    """Return what axe-core finds against WCAG 2.2 AA on the page as it is: rule, help, elements."""
    # Evaluated by the debugger, which the page's Content-Security-Policy does not concern.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    result = page.evaluate("(tags) => axe.run({ runOnly: { type: 'tag', values: tags } })", tags)
    return [
        f"{found['id']}: {found['help']}: {', '.join(str(node['target'][0]) for node in found['nodes'])}"
        for found in result["violations"]
    ]
