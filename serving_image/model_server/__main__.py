"""Starts the model server: `python3 -m model_server`."""

from __future__ import annotations

import asyncio
import os
import sys

from model_server import logs
from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.giving_up import give_up
from model_server.settings import read_place, read_secrets, serve_settings
from model_server.stopping import exit_on_sigterm


def main() -> int:
    """Serve until told to stop; returns the exit code if that was not what ended it."""
    exit_on_sigterm(0)  # Until the server listens to it.
    import uvloop  # Here, because these take most of a second.

    from model_server.server import serve

    logs.set_up()
    place = read_place(sys.argv[1:])
    try:
        settings = serve_settings(os.environ, place)
        secrets = read_secrets(place.keys_dir)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, secrets))
    except StartError as error:
        return give_up(error, place.termination_log)
    except Exception as error:
        logs.logger.exception("the server failed")
        return give_up(StartError(StartFailure.LOAD_FAILED, f"{type(error).__name__}: {error}"), place.termination_log)
    # Threads that load or call a model cannot be stopped, and must not see the interpreter go away under them.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
