"""The live connection of the web console: its fallback, and its pause."""

import re

from playwright.sync_api import expect

from tests.support.images import photo

CONNECTED = re.compile("Live|Delayed")  # the tests' tracker is seldom confirmed to be caught up


def test_a_stream_that_a_proxy_holds_back_is_replaced_by_polling(console, system):
    console.context.route("**/api/v1/stream*", lambda _: None)  # accepted, and never answered
    tab = console.open("/ui/events")
    expect(tab.locator(".live")).to_have_text("Polling")
    system.post_form(photo(), "by-polling.jpg")
    expect(tab.get_by_text("by-polling.jpg").first).to_be_visible()


def test_a_paused_page_does_not_change_until_it_is_resumed(console, system):
    tab = console.open("/ui/events")
    expect(tab.locator(".live")).to_have_text(CONNECTED)
    tab.locator(".live").get_by_role("button", name="Pause updates").click()
    image = system.post_form(photo(), "while-paused.jpg")
    system.wait_status(image["id"])
    expect(tab.locator(".live")).to_have_text(re.compile(r"Paused\+\d"))
    assert tab.get_by_text("while-paused.jpg").count() == 0
    tab.locator(".live").get_by_role("button", name="Resume updates").click()
    expect(tab.get_by_text("while-paused.jpg").first).to_be_visible()
