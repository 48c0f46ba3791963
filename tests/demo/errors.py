"""What goes wrong in ways that the reader can do something about."""


class DemoError(Exception):
    """The demo cannot go on; the message says why, and what to do."""


class SetupError(DemoError):
    """The demo cannot begin: nothing has happened yet that one could look into."""
