"""What every contestant written in Python does: take a job, make its pictures, say what that cost.

A job is a line of JSON on standard input, the answer one on standard output. ``sharp.js`` does the same in Node.
"""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path

Maker = Callable[[bytes], list[bytes]]  # a file in, the JPEG of each small picture out


def take_job(prepare: Callable[[list[int], int], Maker], version: str) -> None:
    """Make all pictures of the job on standard input.

    The files are in memory, and the first has been through once, before the clock runs: neither the disk nor a
    library's start counts. CPU time is the process's own with all its threads, user and system.
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


def refuse(reason: str) -> None:
    """Answer that this kind of file is not taken."""
    print(json.dumps({"refused": reason}))


def _cpu_ms() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1000
