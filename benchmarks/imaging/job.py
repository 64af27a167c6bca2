"""The job that every contestant written in Python runs: make the images and measure the CPU time.

A job is a line of JSON on standard input, the result one on standard output. ``sharp.js`` does the same in Node.
"""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path

Maker = Callable[[bytes], list[bytes]]  # takes a file, returns the JPEG of each size


def run_job(prepare: Callable[[list[int], int], Maker], version: str) -> None:
    """Make all images of the job on standard input.

    The measurement starts when the files are in memory and the first was processed once. So it includes neither
    disk reads nor a library's initialization. CPU time is user and system time of the process with all its threads.
    """
    job = json.load(sys.stdin)
    edges: list[int] = job["edges"]
    make = prepare(edges, job["quality"])
    files = [Path(name) for name in job["files"]]
    originals = [file.read_bytes() for file in files]
    make(originals[0])
    before = _cpu_ms()
    made = [make(original) for original in originals]
    spent = _cpu_ms() - before
    if job["out"]:
        for file, variants in zip(files, made, strict=True):
            for edge, data in zip(edges, variants, strict=True):
                (Path(job["out"]) / f"{file.stem}.{edge}.jpg").write_bytes(data)
    print(json.dumps({"cpu_ms": spent / len(files), "version": version}))


def reject(reason: str) -> None:
    """Report that this file format is not supported."""
    print(json.dumps({"rejected": reason}))


def _cpu_ms() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1000
