"""Why images failed, on one page, and how they are made again: exactly those that the preview named."""

from playwright.sync_api import expect

from tests.support.images import faulty_photo, photo

BROKEN = {
    "notes.jpg": b"\xff\xd8\xff no picture",
    "cut-off.jpg": photo(800, 600)[:3000],
    "crash.jpg": faulty_photo("crash"),
}
LONG_MS = 120_000  # a hundred images on a busy machine


def test_a_hundred_files_of_which_three_are_broken(system, console):
    good = {f"photo-{seed}.jpg": photo(64, 48, seed=seed) for seed in range(1, 98)}
    tab = console.open("/ui/upload")
    files = [
        {"name": name, "mimeType": "image/jpeg", "buffer": data}
        for name, data in (list(good.items()) + list(BROKEN.items()))
    ]

    tab.get_by_test_id("files").set_input_files(files)

    expect(tab.locator(".upload-done")).to_have_count(97, timeout=LONG_MS)
    expect(tab.locator(".upload-failed")).to_have_count(3, timeout=LONG_MS)
    tab.evaluate("for (const image of document.querySelectorAll('.upload img')) image.loading = 'eager'")
    tab.wait_for_function(
        "() => [...document.querySelectorAll('.upload-done img')].filter((one) => one.naturalWidth).length === 97"
    )
    for name in BROKEN:
        row = tab.locator(".upload", has_text=name)
        expect(row.locator(".upload-why")).not_to_be_empty()
