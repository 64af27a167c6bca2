"""Groups of image states."""

from thumbmill.core.contracts.status import Status

TERMINAL = frozenset({Status.DONE, Status.FAILED, Status.EXPIRED, Status.DELETED})  # until the next client request
WITHOUT_UPLOAD = frozenset({Status.AWAITING_UPLOAD, Status.EXPIRED})  # as far as the tracker has recorded
WITHOUT_OBJECT = WITHOUT_UPLOAD | {Status.DELETED}
