"""Work that blocks, in a thread that nobody waits for at the end of the process."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result], name: str) -> Result:
    """Do it in a thread of its own. Raises what it raises. If this is cancelled it goes on, and nobody hears of it.

    The threads of asyncio's own executor would be waited for when the process ends, however long they take.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def tell(result: Result | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # It is there if there is no error.

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # It is raised again, by the one who waits.
            loop.call_soon_threadsafe(tell, None, error)
        else:
            loop.call_soon_threadsafe(tell, result, None)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
