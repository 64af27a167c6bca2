"""Runs requests of one kind, one after another, and writes their progress into their rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.tracker.background import ShutdownRequested
from thumbmill.tracker.on_demand.repository import RequestRepository
from thumbmill.tracker.on_demand.request import OperatorRequest, Progress, RequestKind, RequestState

log = structlog.get_logger()

Execute = Callable[[OperatorRequest], Iterator[Progress]]


@dataclass(frozen=True)
class RequestRunner:
    """Belongs to one thread. The caller makes sure that no other tracker runs requests of this kind meanwhile."""

    requests: RequestRepository
    kind: RequestKind

    def run_next(self, execute: Execute) -> bool:
        """Run the oldest open request to its end. Return False if there is none.

        A request that a dead tracker left continues where its saved progress ends. Raise ShutdownRequested if this
        process is to end, and DependencyUnavailable if Postgres is unavailable: the request then stays open.
        """
        request = self.requests.start_next(self.kind)
        if request is None:
            return False
        log.info("request_started", kind=self.kind, request_id=request.id, requested_by=request.requested_by)
        state, error = self._execute(request, execute)
        log.info("request_ended", kind=self.kind, request_id=request.id, state=state, error=error)
        return True

    def _execute(self, request: OperatorRequest, execute: Execute) -> tuple[RequestState, str]:
        progress, error = request.progress, ""
        try:
            for progress in execute(request):
                if not self.requests.save(request.id, progress):
                    return RequestState.CANCELLED, ""
        except ShutdownRequested:
            raise
        except DependencyUnavailable as unavailable:
            error = str(unavailable)
        except Exception:
            log.exception("request_failed", kind=self.kind, request_id=request.id)
            error = "an unexpected error; see the tracker's log"
        state = RequestState.FAILED if error else RequestState.DONE
        self.requests.save(request.id, progress, state=state, error=error)
        return state, error
