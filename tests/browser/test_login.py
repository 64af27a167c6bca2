"""The web console of a system with API keys."""

from playwright.sync_api import expect

from tests.support.images import photo
from tests.support.waiting import wait_until


def test_a_key_opens_the_console_and_its_pictures(console, system):
    system.wait_status(system.post_form(photo(), "behind-a-key.jpg")["id"])
    with system.restarted("gateway", API_KEYS="first-key,second-key"):
        console.expect(r"401 \(Unauthorized\)|ERR_CONNECTION_REFUSED")
        tab = console.open("/ui/")
        held = []  # 401 answers of requests that were sent before the login
        tab.route("**/api/v1/images?limit=1", lambda route: held.append((route, route.fetch())))
        wait_until(lambda: tab.evaluate("true") and held, what="a request without a session")
        tab.get_by_label("API key").fill("wrong")
        tab.get_by_role("button", name="Log in").click()
        expect(tab.get_by_role("alert")).to_have_text("This key is not valid.")
        tab.get_by_label("API key").fill("second-key")
        tab.get_by_label("API key").press("Enter")
        picture = tab.locator("main img").first
        expect(picture).to_be_visible()
        for route, response in held:
            assert response.status == 401
            route.fulfill(response=response)
            route.request.response()
        tab.evaluate("() => new Promise(requestAnimationFrame)")  # the page has rendered what it got
        expect(tab.get_by_role("heading", name="Log in")).to_have_count(0)
        expect(picture).to_be_visible()
        wait_until(lambda: picture.evaluate("(element) => element.naturalWidth"), what="the picture behind the key")
        assert "second-key" not in str(tab.evaluate("[document.cookie, {...localStorage}, {...sessionStorage}]"))
        tab.goto("/ui/settings")
        tab.get_by_role("button", name="Log out").click()
        expect(tab.get_by_role("heading", name="Log in")).to_be_visible()
