"""Why images failed, on one page, and how they are made again: exactly those that the preview named."""

import re

from playwright.sync_api import expect

from tests.support.images import faulty_photo, photo

LONG_MS = 120_000  # on a busy machine


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
