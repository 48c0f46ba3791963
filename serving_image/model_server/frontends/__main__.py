"""Starts a front end: `python3 -m model_server.frontends LINK,HANDED`, which the first process does."""

from __future__ import annotations

import asyncio
import os
import sys

import uvloop

from model_server import logs
from model_server.errors import StartError
from model_server.frontends.process import serve
from model_server.settings import read_place, read_secrets, serve_settings


def main() -> int:
    """Answer until told to end; returns the exit code if that was not what ended it."""
    logs.set_up()
    link, handed = map(int, sys.argv[1].split(","))
    place = read_place(sys.argv[2:])
    try:
        settings, secrets = serve_settings(os.environ, place), read_secrets(place.keys_dir)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, secrets.feedback_keys, link, handed))
    except StartError as error:  # As the files have changed since the first process has read them.
        logs.logger.error("a front end gives up", extra={"fields": {"reason": error.reason, "error": error.message}})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
