"""Measure reconciliation: a whole pass over buckets and rows that agree, then one that repairs.

The objects are copies of one, written to MinIO's drive while it is stopped, and the rows by one statement. So a
hundred thousand take seconds to create, but minutes to delete. Both passes are run by ``thumbmill reconcile`` on a
running tracker. CPU-seconds are user and system time during the pass; calls are the S3 requests that MinIO has
counted.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
from minio import Minio

from devstack import services
from devstack.installation import CHECKOUT
from devstack.ports import free_ports
from devstack.postgres import OWNER, database_url, forget_libpq_variables
from devstack.stack import Stack

ORIGINALS, PROCESSED = "images-original", "images-processed"
TEN_MILLION = 10_000_000
DELETED_ROWS = 1000  # before the second pass


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000, help="originals, each with its row (default: 10000)")
    parser.add_argument("--variants", type=int, default=3, help="variants of each image (default: 3)")
    parser.add_argument("--json", action="store_true", help="also print the figures as JSON")
    given = parser.parse_args()
    forget_libpq_variables()
    parent = CHECKOUT / ".local" / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    parent.chmod(0o755)
    directory = Path(tempfile.mkdtemp(prefix="reconcile-", dir=parent))
    directory.chmod(0o755)  # the servers' account has to enter it
    stack = Stack(directory, free_ports(), {}, log=print)
    try:
        stack.up(backing_only=True)
        command, environment = services.describe_migrate(stack.installation)
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        fill(stack, given.images, given.variants)
        stack.start("status-tracker", RECONCILE_INTERVAL_SECONDS="86400")  # keep its own loop idle
        figures = {"agreeing": measure(stack)}
        with database(stack) as connection:
            connection.execute("DELETE FROM images WHERE id IN (SELECT id FROM images LIMIT %s)", [DELETED_ROWS])
        figures["repairing"] = measure(stack)
        print_figures(figures, given.images, given.variants)
        if given.json:
            print(json.dumps(figures))
    finally:
        stack.close()
        shutil.rmtree(directory, ignore_errors=True)  # takes a while


def fill(stack: Stack, images: int, variants: int) -> None:
    """Write objects to the drive, and their rows."""
    print(f"creating {images} originals with {variants} variants each")
    port = stack.installation.ports["MINIO_PORT"]
    credentials = (stack.installation.secrets["MINIO_ROOT_USER"], stack.installation.secrets["MINIO_ROOT_PASSWORD"])
    client = Minio(f"127.0.0.1:{port}", *credentials, secure=False, region="us-east-1")
    client.put_object(PROCESSED, "model", io.BytesIO(b""), 0)  # this bucket sends no events
    [model_object] = client.list_objects(PROCESSED)
    object_version = f"{model_object.etag}/0/{int(model_object.last_modified.timestamp())}"
    stack.stop("minio")
    drive = stack.installation.data / "minio" / "drive"
    model, owner = drive / PROCESSED / "model", (drive / PROCESSED).stat()
    ids = [uuid.UUID(int=uuid.uuid4().int & ~(0xF << 76) | 7 << 76) for _ in range(images)]
    keys = [(image, [f"{image}/{'ab' * 8}-1.3/preset-{n}.webp" for n in range(variants)]) for image in ids]
    for image, variant_keys in keys:
        copy_object(model, drive / ORIGINALS, f"uploads/{image}/original", owner)
        for key in variant_keys:
            copy_object(model, drive / PROCESSED, key, owner)
    shutil.rmtree(model)
    stack.start("minio", MINIO_PROMETHEUS_AUTH_TYPE="public")
    with database(stack) as connection:
        with connection.cursor().copy(
            "COPY images (id, key, status, object_version, size, generation, run_id, attempts, variants,"
            " variants_removed, created_at, updated_at, version) FROM STDIN"
        ) as copy:
            for image, variant_keys in keys:
                variants_json = json.dumps(
                    [
                        {"type": key[-13:], "key": key, "width": 1, "height": 1, "bytes": 1, "content_type": "x"}
                        for key in variant_keys
                    ]
                )
                now = "2026-01-01T00:00:00Z"
                row = (
                    image,
                    f"uploads/{image}/original",
                    "DONE",
                    object_version,
                    0,
                    1,
                    "",
                    1,
                    variants_json,
                    "f",
                    now,
                    now,
                    1,
                )
                copy.write_row(row)
        connection.execute("ANALYZE images")
        connection.execute("UPDATE progress SET caught_up_to = now() + interval '1 day'")
        connection.execute("UPDATE reconciliation SET pass_ended = now()")


def copy_object(model: Path, bucket: Path, key: str, owner: os.stat_result) -> None:
    """Copy the model to another key: MinIO stores an object's name only in its path."""
    target = bucket / key
    target.mkdir(parents=True)
    shutil.copy(model / "xl.meta", target / "xl.meta")
    for path in (target / "xl.meta", target, *target.parents):
        if path == bucket:
            break
        os.chown(path, owner.st_uid, owner.st_gid)


def measure(stack: Stack) -> dict[str, float]:
    """Run the command once. Return seconds, CPU-seconds, megabytes (10^6 bytes) and MinIO's calls."""
    servers = {name: stack.pid(name) for name in ("status-tracker", "minio", "postgres")}
    before = {name: cpu_seconds(pid) for name, pid in servers.items()} | {"calls": calls(stack)}
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "thumbmill"), "reconcile", "--json"],
        env={**os.environ, "THUMBMILL_ENV_FILE": str(stack.installation.operator_file)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak, tracker = 0, psutil.Process(servers["status-tracker"])
    output = None
    while output is None:
        try:
            output = process.communicate(timeout=0.05)
        except subprocess.TimeoutExpired:
            peak = max(peak, tracker.memory_info().rss)
    assert process.returncode == 0, output
    report = json.loads(output[0])
    compared = report["originals"] + report["variants"]
    return {
        "objects": compared,
        "seconds": report["seconds"],
        "objects_per_s": compared / report["seconds"],
        "tracker_peak_rss_mb": peak / 1e6,
        **{f"{name}_cpu_s": cpu_seconds(pid) - before[name] for name, pid in servers.items()},
        "minio_calls": calls(stack) - before["calls"],
        "repaired": sum(report["found"].values()),
    }


def cpu_seconds(pid: int) -> float:
    parent = psutil.Process(pid)
    return sum(
        sum(process.cpu_times()[: 4 if process == parent else 2])
        for process in [parent, *parent.children(recursive=True)]
    )


def calls(stack: Stack) -> float:
    """Return the number of S3 requests that MinIO has counted."""
    url = f"http://127.0.0.1:{stack.installation.ports['MINIO_PORT']}/minio/v2/metrics/cluster"
    lines = httpx.get(url, timeout=30).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("minio_s3_requests_total{"))


@contextmanager
def database(stack: Stack) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    url = database_url(stack.installation, OWNER, stack.installation.secrets["POSTGRES_PASSWORD"])
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def print_figures(figures: dict[str, dict[str, float]], images: int, variants: int) -> None:
    print(f"\n{images} originals with {variants} variants each, and their rows\n")
    names = list(figures)
    print(f"| figure | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for figure in figures[names[0]]:
        values = (f"{figures[name][figure]:.{0 if figures[name][figure] >= 100 else 1}f}" for name in names)
        print(f"| {figure} | {' | '.join(values)} |")
    agreeing = figures["agreeing"]
    scale = TEN_MILLION / images
    cpu = sum(value for name, value in agreeing.items() if name.endswith("_cpu_s")) * scale
    print(
        f"\nTen million originals of this kind, extrapolated: {agreeing['objects'] * scale:.0f} objects,"
        f" {agreeing['minio_calls'] * scale:.0f} calls, {agreeing['seconds'] * scale / 3600:.1f} h unbounded,"
        f" {cpu / 3600:.1f} CPU-hours; at 60000 a minute {agreeing['objects'] * scale / 60_000 / 60:.0f} h"
    )


if __name__ == "__main__":
    main()
