"""Screenshots of every page of the web console, for docs/screenshots: ``make screenshots``.

It runs a system of its own with some images, three of them FAILED, and is not part of the tests.
"""

import io
import sys
from contextlib import closing

from PIL import Image
from playwright.sync_api import Page, expect

from devstack.installation import CHECKOUT
from tests.support.browser import Console, run_browser
from tests.support.scenes import scene
from tests.support.stack import run_stack
from tests.support.system import System

DIRECTORY = CHECKOUT / "docs" / "screenshots"
PAGES = ("gallery", "upload", "image", "failures", "pipeline", "reconcile", "events", "settings")
# name: width, height, theme
VIEWS = {"light": (1280, 800, "light"), "dark": (1280, 800, "dark"), "narrow": (360, 740, "light")}
NAMES = ("ridge", "valley", "dusk", "dunes", "meadow", "embers")
SHAPES = ((1200, 800), (900, 1200), (1500, 800), (1000, 1000))


def main() -> None:
    """Write the files."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    # Often, so that the pages say "Live".
    with run_stack(HEARTBEAT_INTERVAL_SECONDS="2") as stack, closing(System(stack)) as system:
        image_id = fill(system)
        with run_browser() as browser:
            consoles = {
                view: Console(
                    browser,
                    stack.endpoints.gateway,
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,
                )
                for view, (width, height, scheme) in VIEWS.items()
            }
            for page in PAGES:  # the gallery comes before the uploads that the other pages show
                for view, console in consoles.items():
                    shoot(console, page, image_id, f"{page}-{view}")
            for console in consoles.values():
                console.close()


def fill(system: System) -> str:
    """Upload images, wait for their ends, and return the id of one."""
    system.post_form(b"GIF89a but no more", "not-a-picture.gif")
    uploads = []
    for number in range(18):
        if number == 12:
            system.post_form(scene(2)[:30_000], "half-received.jpg")
        data = scene(number, *SHAPES[number % len(SHAPES)])
        uploads.append(system.post_form(data, f"{NAMES[number % len(NAMES)]}-{number + 1:02}.jpg")["id"])
    for image_id in uploads:
        system.wait_status(image_id)
    return uploads[-1]


def shoot(console: Console, page: str, image_id: str, name: str) -> None:
    """Open a page, wait until it is at rest, and write its screenshot."""
    address = {"gallery": "", "image": f"images/{image_id}"}.get(page, page)
    tab = console.open(f"/ui/{address}")
    expect(tab.locator("h1")).to_be_visible()
    expect(tab.locator(".live")).to_have_text("Live")
    if page == "upload":
        choose_files(tab)
    tab.wait_for_timeout(1500)  # for pictures, and for numbers that a page asks for each second
    picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    if page not in {"gallery", "image"}:  # which would show the edges between 256 colours
        picture = picture.quantize(256)  # a third of the size
    picture.save(DIRECTORY / f"{name}.png", optimize=True)
    sys.stdout.write(f"docs/screenshots/{name}.png\n")
    tab.close()


def choose_files(tab: Page) -> None:
    files = [(f"harbour-{number}.jpg", "image/jpeg", scene(number + 7)) for number in range(4)]
    files += [("invoice.pdf", "application/pdf", b"%PDF"), ("torn.jpg", "image/jpeg", scene(3)[:25_000])]
    tab.get_by_test_id("files").set_input_files(
        [{"name": name, "mimeType": kind, "buffer": data} for name, kind, data in files]
    )
    expect(tab.get_by_text("4 of 6 done, 2 failed")).to_be_visible()


if __name__ == "__main__":
    main()
