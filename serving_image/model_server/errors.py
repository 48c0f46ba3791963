"""The errors of the server: those that end a start, and those that answer a request.

Errors of other libraries are turned into these where they appear, so that nothing above has to know them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from model_server.contract import FeedbackRejection, StartFailure


class ModelServerError(Exception):
    """The root of all errors raised on purpose. Its text is for users: what is wrong, where, what to do."""


class StartError(ModelServerError):
    """The container cannot do its work and gives up; `reason` reaches the status of the ModelDeployment."""

    def __init__(self, reason: StartFailure, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class RequestError(ModelServerError):
    """A request that gets `{"error": …}` and the HTTP code `status`."""

    status: ClassVar[int] = 500


class InvalidArgument(RequestError):  # noqa: N818  # Named after the code of TensorFlow Serving, as are the next ones.
    """The request does not fit the model, or is not JSON."""

    status = 400


class FailedPrecondition(RequestError):  # noqa: N818
    """The model has no such signature: gRPC has a code of its own for it."""

    status = 400


class NotFound(RequestError):  # noqa: N818
    """No such model, version or path."""

    status = 404


class BodyTooLarge(RequestError):  # noqa: N818
    """The body is over the limit."""

    status = 413


class ResourceExhausted(RequestError):  # noqa: N818
    """TensorFlow ran out of something while it computed."""

    status = 429


class Unimplemented(RequestError):  # noqa: N818
    """Part of the protocol that this server does not have."""

    status = 501


class Unavailable(RequestError):  # noqa: N818
    """Not now: the model is loading, or the queue is full. Worth trying again."""

    status = 503


class DeadlineExceeded(RequestError):  # noqa: N818
    """The computation took longer than it may."""

    status = 504


class NotAClassifier(ModelServerError):  # noqa: N818  # A fact about the model.
    """The outputs are no scores of classes, so that labels cannot be compared with them."""


class LabelRejected(ModelServerError):  # noqa: N818  # An answer about a label, no fault.
    """One label that is not counted."""

    def __init__(self, reason: FeedbackRejection, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
