"""Upload many small photos and print the memory of the thumbnailer's processes at intervals, to find leaks.

Only photos of the corpus up to --max-bytes are used, so that thousands take minutes.
"""

import argparse
import asyncio
from pathlib import Path

import aiohttp

from benchmarks import corpus
from benchmarks.accounting import Part
from benchmarks.installation import gateway_url, running_system
from benchmarks.load import Client
from devstack.stack import Stack

PRESETS = Path(__file__).with_name("thumbnail.yaml")


async def soak(stack: Stack, photos: list[corpus.Photo], arguments: argparse.Namespace) -> None:
    """Upload, and print a line of the table after every step."""
    gateway = gateway_url(stack)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        client = Client(session, gateway, photos, "post")
        print("| images | thumbnailer's PSS, MB |\n|---|---|", flush=True)
        for sent in range(0, arguments.n + 1, arguments.step):
            if sent:
                uploads = await client.upload_all(arguments.step, arguments.at_once)
                if errors := [upload.error for upload in uploads if upload.error]:
                    raise SystemExit(f"{len(errors)} uploads failed: {errors[:3]}")
                await _wait_idle(session, stack)
            pss = Part((stack.pid("thumbnailer"),)).memory_bytes(shared_once=True)
            print(f"| {sent} | {pss / 1e6:.1f} |", flush=True)


async def _wait_idle(session: aiohttp.ClientSession, stack: Stack) -> None:
    """Wait until the API lists no image that is PENDING or PROCESSING."""
    gateway = gateway_url(stack)
    for state in ("PENDING", "PROCESSING"):
        while True:
            async with session.get(f"{gateway}/api/v1/images", params={"status": state, "limit": 1}) as response:
                if not (await response.json())["items"]:
                    break
            await asyncio.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, default=Path(__file__).parents[1] / ".local" / "corpus")
    parser.add_argument("-n", type=int, default=5000, help="total number of photos (default: 5000)")
    parser.add_argument("--step", type=int, default=500, help="photos between two measurements (default: 500)")
    parser.add_argument("-c", "--at-once", type=int, default=8, help="concurrent uploads (default: 8)")
    parser.add_argument("--max-bytes", type=int, default=300_000, help="skip larger photos (default: 300000)")
    arguments = parser.parse_args()
    photos = [photo for photo in corpus.read(arguments.corpus) if photo.path.stat().st_size <= arguments.max_bytes]
    if not photos:
        parser.error("every photo of the corpus is larger than --max-bytes")

    with running_system({"PRESETS_FILE": str(PRESETS)}) as stack:
        asyncio.run(soak(stack, photos, arguments))


if __name__ == "__main__":
    main()
