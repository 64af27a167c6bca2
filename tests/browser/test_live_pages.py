"""Pages that change by themselves: in many tabs, after a lost network, and without a grid that moves."""

import re
from contextlib import closing

from playwright.sync_api import expect

from chaos.proxy import Proxy
from tests.support.browser import Console
from tests.support.images import photo
from tests.support.waiting import wait_until


def upload(system, batch, seed, *, status="DONE"):
    """Upload an image with a batch label, and wait until it has a state."""
    files = {"file": (f"{batch}-{seed}.jpg", photo(seed=seed), "image/jpeg")}
    answer = system.http.post("/api/v1/images", params={"batch": batch}, files=files)
    assert answer.status_code == 202, answer.text
    return system.wait_status(answer.json()["id"], status)


def open_live(console, path):
    """Open a tab and wait until it receives changes."""
    tab = console.open(path)
    expect(tab.locator(".live-live")).to_be_visible()
    return tab


def test_eight_tabs_are_live_over_one_connection(system, console):
    tabs = [open_live(console, "/ui/?batch=tabs") for _ in range(8)]  # a browser opens six connections to a server

    upload(system, "tabs", 1)

    for tab in tabs:
        expect(tab.get_by_role("button", name="1 new: show")).to_be_visible()
    wait_until(lambda: system.metric("GATEWAY_PORT", 'thumbmill_live_connections{kind="stream"}') == 1)


def test_the_tab_that_holds_the_connection_can_be_closed(system, console):
    first = open_live(console, "/ui/?batch=leader")
    second = open_live(console, "/ui/?batch=leader")

    first.close()
    upload(system, "leader", 1)

    expect(second.get_by_role("button", name="1 new: show")).to_be_visible()


def test_changes_of_a_lost_network_follow_without_a_reload(system, browser):
    shown = upload(system, "offline", 1)
    with (
        closing(Proxy(system.ports["GATEWAY_PORT"]).start()) as network,
        closing(Console(browser, f"http://127.0.0.1:{network.port}")) as console,
    ):
        console.expect("ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE")
        tab = open_live(console, "/ui/?batch=offline")
        card = tab.locator(f"[data-id='{shown['id']}']")
        expect(card).to_be_visible()
        tab.evaluate("window.notReloaded = true")

        network.mode = "reset"  # Chromium's own emulation keeps streams that are open
        console.context.set_offline(True)
        expect(tab.locator(".live-live")).to_be_hidden()
        for seed in (2, 3):
            upload(system, "offline", seed)
        assert system.http.delete(f"/api/v1/images/{shown['id']}").status_code == 202
        system.wait_status(shown["id"], "DELETED")
        network.mode = "pass"
        console.context.set_offline(False)

        expect(tab.get_by_role("button", name="2 new: show")).to_be_visible()
        expect(card).to_contain_text("Deleted")
        assert tab.evaluate("window.notReloaded")


def test_the_grid_moves_only_when_a_person_asks(system, console):
    first = upload(system, "grid", 1)
    tab = open_live(console, "/ui/?batch=grid")
    cards = tab.locator(".gallery-item")
    expect(cards).to_have_count(1)
    place = cards.first.bounding_box()

    upload(system, "grid", 2)
    bar = tab.get_by_role("button", name="1 new: show")
    expect(bar).to_be_visible()
    assert (cards.count(), cards.first.bounding_box()) == (1, place)

    bar.click()
    expect(cards).to_have_count(2)
    expect(tab.get_by_role("link", name=re.compile(r"^Done\s*2$"))).to_be_visible()

    links = tab.locator(".gallery-link")
    links.first.focus()
    tab.keyboard.press("ArrowRight")
    expect(links.last).to_be_focused()
    tab.keyboard.press("ArrowLeft")
    expect(links.first).to_be_focused()

    tab.get_by_role("checkbox", name="Select grid-1.jpg").check()
    tab.get_by_role("region", name="Selected images").get_by_role("button", name="Delete").click()
    tab.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(cards).to_have_count(1)
    system.wait_status(first["id"], "DELETED")
