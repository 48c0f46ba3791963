"""The one exception that reaches a user."""


class ClusterError(Exception):
    """Something the user can act on; the message says what is wrong, where, and what to do."""
