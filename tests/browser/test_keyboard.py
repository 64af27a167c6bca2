"""The console by keyboard alone: upload, watch, find out why, make again."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.support.images import faulty_photo, photo

MAX_STEPS = 150
# Whether what has the focus can be seen: in the window, and not below a bar that sticks to its edge (WCAG 2.4.11).
_IS_SEEN = """() => {
    const box = document.activeElement.getBoundingClientRect();
    const top = document.elementFromPoint(box.x + box.width / 2, box.y + Math.min(box.height, 20) / 2);
    return !!top && (document.activeElement.contains(top) || top.contains(document.activeElement));
}"""


def walk_to(tab: Page, wanted: Locator) -> None:
    """Press Tab until an element has the focus. Whatever has it on the way must be visible."""
    expect(wanted).to_be_visible()
    target = wanted.element_handle()
    for _ in range(MAX_STEPS):
        if tab.evaluate("(target) => document.activeElement === target", target):
            return
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement !== document.body"):
            tab.wait_for_function(_IS_SEEN)
    raise AssertionError(f"{wanted} is not reached by the Tab key")


def test_upload_watch_and_redrive(console):
    tab = console.open("/ui/")
    walk_to(tab, tab.get_by_role("navigation", name="Pages").get_by_role("link", name="Upload"))
    tab.keyboard.press("Enter")

    walk_to(tab, tab.get_by_role("button", name="Choose files"))
    with tab.expect_file_chooser() as chooser:
        tab.keyboard.press("Enter")
    files = {"good.jpg": photo(seed=9001), "memory.jpg": faulty_photo("memory")}
    chooser.value.set_files(
        [{"name": name, "mimeType": "image/jpeg", "buffer": data} for name, data in files.items()]
    )
    expect(tab.locator(".upload-done")).to_have_count(1, timeout=60_000)
    expect(tab.locator(".upload-failed")).to_have_count(1, timeout=60_000)

    walk_to(tab, tab.get_by_role("link", name="good.jpg"))
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", name="good.jpg")).to_be_visible()
    expect(tab.get_by_role("heading", name="Timeline")).to_be_visible()

    walk_to(tab, tab.get_by_role("navigation", name="Pages").get_by_role("link", name="Failures"))
    tab.keyboard.press("Enter")
    row = tab.locator(".failed-row", has_text="memory.jpg").first
    walk_to(tab, row.get_by_role("checkbox"))
    tab.keyboard.press("Space")
    walk_to(tab, tab.get_by_role("button", name="Make 1 selected again"))
    tab.keyboard.press("Enter")
    confirm = tab.get_by_role("dialog").get_by_role("button", name="Make 1 image again")
    expect(confirm).to_be_enabled()
    walk_to(tab, confirm)
    tab.keyboard.press("Enter")
    expect(tab.locator(".redrive-result")).to_contain_text(re.compile(r"^1 of 1 decided"), timeout=60_000)
