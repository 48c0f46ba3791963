"""What can go wrong at the edge, in the words of the core. Adapters map foreign errors to these."""

from __future__ import annotations


class OperatorError(Exception):
    """Base of all errors that the operator knows how to handle."""


class ApiError(OperatorError):
    """The API server did not do what it was asked.

    Attributes:
        status: HTTP status, or 0 if there was no answer.
        message: what the API server said.

    """

    def __init__(self, status: int, message: str, request: str) -> None:
        super().__init__(f"{request}: {status or 'no answer'}: {message}")
        self.status = status
        self.message = message


class NotFoundError(ApiError):
    """There is no such object or kind (404)."""


class ConflictError(ApiError):
    """The object is another one than was read (409)."""


class TooManyRequestsError(ApiError):
    """The API server has too much to do (429), for everybody or for the operator alone.

    Attributes:
        wait: seconds that it asks for before the next try.

    """

    def __init__(self, status: int, message: str, request: str, wait: float) -> None:
        super().__init__(status, message, request)
        self.wait = wait


class RefusedError(ApiError):
    """The request is not acceptable, and will not be if it is repeated (400, 403, 422)."""


class NamespaceTerminatingError(ApiError):
    """The namespace is being deleted: nothing new is made in it any more (403)."""


class ForeignObjectError(OperatorError):
    """An object that the operator would make is there already and belongs to someone else."""


class PodUnreachableError(OperatorError):
    """A pod's admin port did not answer as agreed."""


class InvalidCountsError(PodUnreachableError):
    """What a pod says of its counts cannot be."""


class PrometheusError(OperatorError):
    """Prometheus did not answer as agreed."""


class InvalidSpecError(OperatorError):
    """The object is not a sound ModelDeployment; the API server has a schema that allowed it."""

    def __init__(self, key: object, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.message = message


class DamagedKeyError(OperatorError):
    """The operator's own key cannot be read."""


class LeaseLostError(OperatorError):
    """Another replica leads, or may lead: this one must not act any more."""
