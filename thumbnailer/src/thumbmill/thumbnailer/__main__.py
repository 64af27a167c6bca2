"""``thumbnailer``: consume bucket events until SIGTERM or SIGINT."""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from threading import Event

import structlog

from thumbmill.core.build_info import get_version, publish_build_info
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.messaging.consumer import Consumer
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.topology import thumbnailer_queues
from thumbmill.core.messaging.workers import per_message
from thumbmill.core.object_store.store import Storage
from thumbmill.core.service import logs
from thumbmill.core.service.lifecycle import Startup, retry_until_available, serve_admin, stop_on_signals
from thumbmill.core.settings import load_or_exit, masked
from thumbmill.thumbnailer.handler import Thumbnailer
from thumbmill.thumbnailer.heartbeats import Heartbeats, Process
from thumbmill.thumbnailer.sandbox.pool import Decoder
from thumbmill.thumbnailer.sandbox.process import DecoderUnavailableError
from thumbmill.thumbnailer.settings import Settings
from thumbmill.thumbnailer.variants import VariantStore

log = structlog.get_logger()

NAME = "thumbnailer"


def main() -> None:
    """Run and exit: 0 after a clean stop, 1 if a server rejects the service, 2 for wrong settings."""
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Makes thumbnails of new objects in images-original, until SIGTERM or SIGINT.",
        epilog="Settings are environment variables: see README.md.",
    )
    parser.add_argument("--version", action="version", version=get_version())
    parser.parse_args()
    settings = load_or_exit(Settings)
    logs.configure(settings, NAME)
    publish_build_info(NAME)
    log.info("starting", **masked(settings))
    sys.exit(run(settings))


def run(settings: Settings) -> int:
    """Consume until stopped and return the exit code."""
    stop = Event()
    try:
        with ExitStack() as resources:
            consume(settings, stop, resources)
    except (DependencyRejected, DecoderUnavailableError, OSError) as error:
        log.critical("cannot_run", error=str(error))
        return 1
    except DependencyUnavailable as error:
        log.info("never_started", error=str(error))  # stopped while it waited
    log.info("stopped")
    return 0


def consume(settings: Settings, stop: Event, resources: ExitStack) -> None:
    """Create all parts and consume until stopped; the parts are closed in reverse order."""
    storage = Storage(settings, connections=3 * settings.prefetch)
    decoder = Decoder(
        settings.processing_options,
        settings.thumbnailer_decoders,
        settings.decoder_retirement,
        settings.slow_decoders,
    )
    executor = resources.enter_context(ThreadPoolExecutor(2 * settings.prefetch, "variants"))
    variants = VariantStore(storage, settings.presets.key_version, executor)
    thumbnailer = Thumbnailer(storage, variants, decoder, settings.max_upload_bytes)
    check_storage = partial(storage.check, ORIGINALS_BUCKET, VARIANTS_BUCKET)
    consumer = Consumer(
        name=NAME,
        broker=settings,
        queue_group=thumbnailer_queues(settings.rabbitmq_queue),
        handle=per_message(thumbnailer.handle),
        on_failure=thumbnailer.on_failure,
        probes={"minio": check_storage},
        workers=settings.prefetch,
        prefetch=settings.prefetch,
        grace_seconds=settings.stop_grace_seconds,
    )
    stop_on_signals(stop, consumer.stop)
    start = Startup()
    admin_server = serve_admin(settings, settings.health_port, consumer, start, {"minio": check_storage})
    resources.callback(admin_server.shutdown)
    resources.enter_context(decoder)
    retry_until_available(check_storage, stop, start)
    publisher = Publisher(settings, f"{NAME} heartbeats")
    resources.enter_context(Heartbeats(Process(settings), publisher, lambda: consumer.in_flight))
    start.complete()
    consumer.run()


if __name__ == "__main__":
    main()
