"""Whether the worker's memory stays: many small photos, and what the thumbnailer's processes hold now and then.

The photos are those of the corpus up to --most-bytes, so that thousands go through in minutes.
"""

import argparse
import asyncio
from pathlib import Path

import aiohttp

from benchmarks import corpus
from benchmarks.accounting import Part
from benchmarks.installation import gateway_url, running
from benchmarks.load import Client
from devstack.stack import Stack

PRESETS = Path(__file__).with_name("thumbnail.yaml")


async def soak(stack: Stack, photos: list[corpus.Photo], arguments: argparse.Namespace) -> None:
    """Upload and print a line of the table after every step."""
    gateway = gateway_url(stack)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        client = Client(session, gateway, photos, "post")
        print("| images | thumbnailer's PSS, MB |\n|---|---|", flush=True)
        for sent in range(0, arguments.n + 1, arguments.step):
            if sent:
                uploads = await client.upload_all(arguments.step, arguments.at_once)
                if faults := [upload.fault for upload in uploads if upload.fault]:
                    raise SystemExit(f"{len(faults)} uploads failed: {faults[:3]}")
                await _wait_idle(session, stack)
            held = Part((stack.pid("thumbnailer"),)).memory_bytes(shared_once=True)
            print(f"| {sent} | {held / 1e6:.1f} |", flush=True)


async def _wait_idle(session: aiohttp.ClientSession, stack: Stack) -> None:
    """Wait until no image waits any more, by what the API lists."""
    gateway = gateway_url(stack)
    for state in ("PENDING", "PROCESSING"):
        while True:
            async with session.get(f"{gateway}/api/v1/images", params={"status": state, "limit": 1}) as answer:
                if not (await answer.json())["items"]:
                    break
            await asyncio.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, default=Path(__file__).parents[1] / ".local" / "corpus")
    parser.add_argument("-n", type=int, default=5000, help="photos in all")
    parser.add_argument("--step", type=int, default=500, help="photos between two looks")
    parser.add_argument("-c", "--at-once", type=int, default=8, help="uploads at a time")
    parser.add_argument("--most-bytes", type=int, default=300_000, help="larger photos are left out")
    arguments = parser.parse_args()
    photos = [photo for photo in corpus.read(arguments.corpus) if photo.path.stat().st_size <= arguments.most_bytes]
    if not photos:
        parser.error("every photo of the corpus is larger than --most-bytes")

    with running({"PRESETS_FILE": str(PRESETS)}) as stack:
        asyncio.run(soak(stack, photos, arguments))


if __name__ == "__main__":
    main()
