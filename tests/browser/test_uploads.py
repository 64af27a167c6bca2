"""Uploads in the web console, from the choice of files to their thumbnails."""

import base64
import hashlib
import random
import re
import struct

from playwright.sync_api import expect

from tests.support.images import faulty_photo, noise, photo
from tests.support.waiting import wait_until

PARTS = 8  # of 5 MiB
LONG_MS = 120_000  # a hundred images on a busy machine
DROP = """(files) => {
    const transfer = new DataTransfer();
    for (const [name, data] of files) {
        const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
    }
    for (const type of ["dragenter", "dragover", "drop"])
        document.body.dispatchEvent(
            new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def row(tab, name):
    return tab.get_by_role("listitem").filter(has_text=name)


def choose(tab, path, data):
    """Choose a file. It is on the disk: bytes would travel to the browser as base64."""
    path.write_bytes(data)
    tab.get_by_test_id("files").set_input_files(path)


def bitmap(megabytes):
    """Return a BMP of noise: large, and quickly decoded."""
    width = 2048
    height = megabytes * 2**20 // (width * 3)
    size = 54 + width * height * 3
    header = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", size, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return header + random.Random(megabytes).randbytes(size - 54)


def slow_down(console, tab, bytes_a_second):
    """Limit the speed of uploads, so that they are still running when a test interferes."""
    session = console.context.new_cdp_session(tab)
    session.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second}
    session.send("Network.emulateNetworkConditions", limits)
    return session


def sent_share(tab):
    return tab.evaluate(
        "(() => { const bar = document.querySelector('progress'); return bar ? bar.value / bar.max : 0 })()"
    )


def parts_put(tab, numbers):
    """Record the numbers of the parts that the tab sends from now on."""

    def record(request):
        if request.method == "PUT" and "partNumber=" in request.url:
            numbers.append(int(request.url.partition("partNumber=")[2].partition("&")[0]))

    tab.on("request", record)


def test_a_hundred_files_dropped_at_once_and_three_of_them_are_broken(console):
    """Dropped on another page than that of uploads, too."""
    broken = {
        "notes.jpg": (b"\xff\xd8\xff no picture", "Damaged or incomplete file"),
        "text.jpg": (b"a text", "Not a supported image"),
        "crash.jpg": (faulty_photo("crash"), "The decoder crashed"),
    }
    files = [(f"photo-{number:03}.jpg", photo(160, 120, seed=number)) for number in range(97)]
    files += [(name, data) for name, (data, _) in broken.items()]
    tab = console.open("/ui/settings")
    tab.evaluate(DROP, [(name, base64.b64encode(data).decode()) for name, data in files])
    expect(tab.get_by_role("heading", name="Upload", exact=True)).to_be_visible()
    expect(tab.get_by_text("97 of 100 done, 3 failed")).to_be_visible(timeout=LONG_MS)
    for name, (_, reason) in broken.items():
        expect(row(tab, name)).to_contain_text(reason)
        expect(row(tab, name)).to_contain_text("The same file would fail again")
    tab.evaluate("for (const image of document.querySelectorAll('.upload img')) image.loading = 'eager'")
    shown = "[...document.querySelectorAll('.upload img')].filter((one) => one.naturalWidth).length"
    wait_until(lambda: tab.evaluate(shown) == 97, what="the thumbnails")


AT_ONCE = """addEventListener("load", () => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["x"], "x.jpg", { type: "image/jpeg" }));
    const drag = new DragEvent("dragover", { dataTransfer: transfer, bubbles: true, cancelable: true });
    window.accepted = !document.body.dispatchEvent(drag);
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "u", bubbles: true }));
})"""


def test_a_page_takes_drops_and_keys_as_soon_as_it_is_loaded(console):
    """Otherwise the browser would leave the page and show the dropped file."""
    console.context.add_init_script(AT_ONCE)
    tab = console.open("/ui/settings")
    assert tab.evaluate("window.accepted")
    expect(tab).to_have_url(re.compile("/ui/upload$"))


def test_an_upload_continues_after_a_reload(console, system, tmp_path):
    """What was sent before the reload is not sent again, and the stored bytes are those of the file."""
    data = bitmap(40)
    tab = console.open("/ui/upload")
    tab.on("dialog", lambda dialog: dialog.accept())  # the page warns before it is left
    slow_down(console, tab, 20 * 2**20)
    choose(tab, tmp_path / "large.bmp", data)
    wait_until(lambda: sent_share(tab) >= 0.6, what="60 % of the upload")
    again = []
    parts_put(tab, again)
    tab.reload()
    expect(row(tab, "large.bmp")).to_contain_text("Done", timeout=90_000)
    assert again
    assert min(again) > PARTS * 0.5
    [image] = system.http.get("/api/v1/images", params={"limit": 1}).json()["items"]
    assert (image["file_name"], image["sha256"]) == ("large.bmp", hashlib.sha256(data).hexdigest())


def test_an_upload_survives_a_restart_of_the_gateway_and_the_loss_of_its_parts(console, system, stack, tmp_path):
    """The store forgets the unfinished upload while the gateway is away: it starts over as the same image."""
    console.expect(r"Failed to load resource|\[Uppy\]")  # the gateway is away, the upload is gone
    tab = console.open("/ui/upload")
    session = slow_down(console, tab, 3 * 2**20)
    choose(tab, tmp_path / "patient.bmp", bitmap(16))
    wait_until(lambda: sent_share(tab) >= 0.4, what="the second part")
    stack.stop("gateway")
    system.abort_multipart_uploads()
    session.send("Network.disable")
    expect(row(tab, "patient.bmp")).to_contain_text("Tries again")
    stack.start("gateway")
    expect(row(tab, "patient.bmp")).to_contain_text("Done", timeout=90_000)
    images = system.http.get("/api/v1/images", params={"limit": 20}).json()["items"]
    assert [image["status"] for image in images if image["file_name"] == "patient.bmp"] == ["DONE"]


def test_a_file_that_cannot_be_uploaded_says_why_and_is_not_sent(console):
    requests = []
    tab = console.open("/ui/upload")
    tab.on("request", lambda request: requests.append(request.url))
    tab.get_by_test_id("files").set_input_files(
        [
            {"name": "notes.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7"},
            {"name": "empty.jpg", "mimeType": "image/jpeg", "buffer": b""},
        ]
    )
    expect(row(tab, "notes.pdf")).to_contain_text("Not an image that can be read here")
    expect(row(tab, "empty.jpg")).to_contain_text("The file is empty")
    assert not [url for url in requests if "/s3/" in url]


def test_a_paused_upload_goes_on_where_it_stopped(console, tmp_path):
    tab = console.open("/ui/upload")
    slow_down(console, tab, 6 * 2**20)
    choose(tab, tmp_path / "paused.bmp", bitmap(16))
    wait_until(lambda: sent_share(tab) >= 0.4, what="the second part")
    tab.get_by_role("button", name="Pause paused.bmp").click()
    expect(row(tab, "paused.bmp")).to_contain_text("Paused at")
    numbers = []
    parts_put(tab, numbers)
    tab.get_by_role("button", name="Resume paused.bmp").click()
    expect(row(tab, "paused.bmp")).to_contain_text("Done", timeout=60_000)
    assert 1 not in numbers


def test_a_row_reaches_its_end_without_any_live_connection(console, tmp_path):
    console.expect("ERR_FAILED")
    console.context.route("**/api/v1/stream*", lambda route: route.abort())
    console.context.route("**/api/v1/changes*", lambda route: route.abort())
    tab = console.open("/ui/upload")
    choose(tab, tmp_path / "alone.jpg", photo())
    expect(row(tab, "alone.jpg")).to_contain_text("Done")


def test_the_keyboard_alone_uploads_and_watches(console):
    tab = console.open("/ui/settings")
    expect(tab.get_by_role("heading", name="Settings", exact=True)).to_be_visible()
    tab.keyboard.press("u")
    button = tab.get_by_role("button", name="Choose files")
    expect(button).to_be_visible()
    for _ in range(30):
        if button.evaluate("(element) => element === document.activeElement"):
            break
        tab.keyboard.press("Tab")
    expect(button).to_be_focused()
    with tab.expect_file_chooser() as chooser:
        tab.keyboard.press("Enter")
    chooser.value.set_files([{"name": "typed.jpg", "mimeType": "image/jpeg", "buffer": noise(80, 60)}])
    expect(tab.get_by_role("status").filter(has_text="1 of 1 done, 0 failed")).to_be_attached()
    link = tab.get_by_role("link", name="typed.jpg")
    link.focus()
    tab.keyboard.press("Enter")
    expect(tab).to_have_url(re.compile("/ui/images/"))
