"""The published packages of Uppy, unmodified, with ``companionEndpoint`` and a session, in the real Chromium."""

import hashlib
import subprocess
from contextlib import closing

import pytest

from devstack.web_build import WEB, build_console, find_node
from tests.support.resumable_uploads import large_bmp
from tests.support.system import System
from tests.support.waiting import wait_until

KEY = "a-key-of-the-test"
# What docs/how-to/resume-uploads.md tells a page to do, and nothing else.
PAGE = """
(retries) => {
  const uppy = new Uppy({ id: "page", autoProceed: false })
    .use(AwsS3, { companionEndpoint: "/api/v1", shouldUseMultipart: (file) => file.size > 5 * 1024 * 1024 })
    .use(GoldenRetriever, { indexedDB: { maxFileSize: 64 * 1024 ** 2, maxTotalSize: 300 * 1024 ** 2 } });
  uppy.on("file-added", (file) => uppy.setFileMeta(file.id, { size: file.size, batch: "uppy" }));
  const seen = { images: [], progress: [], restored: false, errors: [] };
  uppy.on("upload-success", (file, response) => seen.images.push(response.body.key.split("/")[1]));
  uppy.on("upload-progress", (file, progress) => seen.progress.push(progress.bytesUploaded / progress.bytesTotal));
  uppy.on("upload-error", (file, error) => {
    seen.errors.push(String(error));
    if (retries) setTimeout(() => uppy.retryAll(), 300);
  });
  uppy.on("restored", () => {
    seen.restored = true;
    uppy.emit("restore-confirmed"); // continue without asking
  });
  const input = document.createElement("input");
  Object.assign(input, { type: "file", multiple: true });
  input.onchange = () => {
    for (const data of input.files) uppy.addFile({ name: data.name, type: "image/bmp", data });
  };
  document.body.append(input);
  Object.assign(globalThis, { uppy, seen });
}
"""
SHOW_THUMBNAIL = """
async (url) => {
  const image = document.body.appendChild(new Image());
  image.src = url;
  await image.decode();
  return image.naturalWidth;
}
"""


@pytest.fixture(scope="module")
def published_uppy(tmp_path_factory):
    build_console(print)  # installs the packages
    bundle = tmp_path_factory.mktemp("uppy") / "uppy.js"
    bundler = WEB / "node_modules" / "rolldown" / "bin" / "cli.mjs"
    source = WEB / "tests" / "published-uppy.js"
    command = [find_node().program, bundler, source, "--format", "iife", "--file", bundle]
    subprocess.run(command, check=True, capture_output=True)
    return bundle.read_text()


@pytest.fixture(scope="module")
def locked(stack):
    """The system, with a gateway that requires a key."""
    with closing(System(stack)) as system, system.restarted("gateway", API_KEYS=KEY):
        system.http.headers["X-API-Key"] = KEY
        yield system


@pytest.fixture
def page(console, locked):
    """A page of the gateway's origin without a policy for its scripts, in a browser with a session."""
    console.expect(r"favicon\.ico")
    page = console.open("/health")
    page.evaluate("(key) => fetch('/api/v1/session', {method: 'POST', body: JSON.stringify({key})})", KEY)
    return page


@pytest.fixture
def load(page, published_uppy):
    """Return a function that starts Uppy in the page."""

    def load_uppy(*, retries=False):
        page.evaluate(published_uppy)
        page.evaluate(PAGE, retries)

    return load_uppy


class HeldParts:
    """Holds the requests for parts from a number on, until they are released, and counts all."""

    def __init__(self, page, first):
        self.numbers = []
        self._first = first
        self._held = []
        page.route("**/images-original/**", self._handle)

    def _handle(self, route):
        number = int(route.request.url.partition("partNumber=")[2].partition("&")[0] or 0)
        self.numbers.append(number)
        if self._first and number >= self._first:
            self._held.append(route)
        else:
            route.continue_()

    def wait_until_held(self, page):
        # Handlers of routes run while Playwright is called.
        wait_until(lambda: page.evaluate("seen.progress.length") and self._held, 30, "a part that is held")

    def forget(self):
        """Hold no more, and drop what is held: a reload has canceled it."""
        self._first, self._held, self.numbers = 0, [], []

    def release(self):
        self._first = 0
        for route in self._held:
            route.continue_()


def choose(page, tmp_path, **files):
    for name, data in files.items():
        (tmp_path / f"{name}.bmp").write_bytes(data)
    page.set_input_files("input", [tmp_path / f"{name}.bmp" for name in files])


def wait_uploaded(page, count=1):
    """Wait until this many files are uploaded; return the ids of their images."""
    page.wait_for_function("(count) => seen.images.length === count", arg=count)
    return page.evaluate("seen.images")


def test_an_upload_continues_after_the_page_was_reloaded(locked, page, load, tmp_path):
    data = large_bmp(parts=8)
    load()
    choose(page, tmp_path, photo=data)
    parts = HeldParts(page, first=6)
    page.evaluate("void uppy.upload()")
    parts.wait_until_held(page)
    assert page.evaluate("Math.max(...seen.progress)") >= 0.6
    page.reload()
    parts.forget()
    load()
    [image_id] = wait_uploaded(page)
    assert page.evaluate("seen.restored")
    assert page.evaluate("Math.min(...seen.progress)") >= 0.55
    assert sorted(parts.numbers) == [6, 7, 8]
    image = locked.wait_status(image_id)
    assert (image["bytes"], image["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_uploads_end_well_although_the_gateway_restarts(locked, console, page, load, tmp_path):
    small, large = large_bmp(parts=1), large_bmp(parts=3)
    load(retries=True)
    choose(page, tmp_path, small=small, large=large)
    parts = HeldParts(page, first=2)
    page.evaluate("void uppy.upload()")
    parts.wait_until_held(page)
    console.expect(r"Failed to load resource|Companion request failed|Failed to fetch")
    locked.stack.stop("gateway")
    parts.release()
    page.wait_for_function("() => seen.errors.length > 0")
    locked.stack.restart("gateway", API_KEYS=KEY)
    images = [locked.wait_status(image_id) for image_id in wait_uploaded(page, 2)]
    assert {image["sha256"] for image in images} == {hashlib.sha256(data).hexdigest() for data in (small, large)}
    assert sorted(number for number in parts.numbers if number) == [1, 2, 3]
    assert {image["batch"] for image in images} == {"uppy"}
    width = page.evaluate(SHOW_THUMBNAIL, f"/api/v1/images/{images[0]['id']}/variants/thumbnail")
    assert width > 0  # an <img> sends no key, but the cookie


def test_an_upload_that_the_store_has_forgotten_starts_over(locked, console, page, load, tmp_path):
    data = large_bmp(parts=2, seed=2)
    load()
    choose(page, tmp_path, photo=data)
    parts = HeldParts(page, first=2)
    page.evaluate("void uppy.upload()")
    parts.wait_until_held(page)
    console.expect("Failed to load resource|Companion request failed|NetworkError|This looks like a network error")
    locked.abort_multipart_uploads()
    parts.release()
    page.wait_for_function("() => seen.errors.length === 1")
    page.evaluate("void uppy.retryAll()")
    page.wait_for_function("() => seen.errors.length === 2")  # the plugin keeps the id
    page.evaluate("uppy.getFiles().forEach((file) => uppy.setFileState(file.id, { s3Multipart: undefined }))")
    page.evaluate("void uppy.retryAll()")
    [image_id] = wait_uploaded(page)
    assert locked.wait_status(image_id)["sha256"] == hashlib.sha256(data).hexdigest()
