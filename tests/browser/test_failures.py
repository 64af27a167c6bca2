"""Why images failed, on one page, and how they are made again: exactly those that the preview named."""

import re

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


def test_a_redrive_does_what_its_preview_says(system, console):
    retried = [system.post_form(faulty_photo("memory"), f"memory-{number}.jpg")["id"] for number in (1, 2)]
    left = system.post_form(photo(700, 500)[:3000], "cut-off.jpg")["id"]
    for image_id in (*retried, left):
        system.wait_status(image_id, "FAILED", timeout=60)
    before = system.image(left)
    tab = console.open("/ui/failures?window=1h&code=decoder_out_of_memory")

    group = tab.locator(".failure-group", has_text="decoder_out_of_memory")
    group.get_by_role("button", name=re.compile("^Make .* again")).click()
    dialog = tab.get_by_role("dialog")
    sentence = dialog.locator(".redrive-sentence").inner_text()
    count = int(re.match(r"(\d+) images are processed again: code decoder_out_of_memory, failed in", sentence)[1])
    expect(dialog).to_contain_text("not included")
    dialog.get_by_role("button", name=f"Make {count} images again").click()

    # The decoder fails in the same way again.
    expect(tab.locator(".redrive-result")).to_contain_text(
        f"{count} of {count} decided: 0 done, {count} failed again", timeout=LONG_MS
    )
    for image_id in retried:
        assert system.timeline(image_id).count("image.retry_requested") == 1
    assert system.image(left) == before

    tab.get_by_role("link", name=retried[0]).click()
    expect(tab.locator(".timeline-step", has_text="Another run requested")).to_contain_text("By")
