"""Opens damaged models, each in a process of its own, and tells what came of it: `python -m … FOLDER SEED COUNT`.

Prints one JSON object a line: which file was damaged, where, and `served`, the reason why not, `signal N`, or
`uncaught: …`. TensorFlow is imported once and the processes are forked from there: one takes a tenth of a second.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from model_server import engine
from model_server.errors import StartError
from model_server.loading import find_model
from model_server.preparation.keras_files import check_keras_file

SECONDS = 5
MEMORY = 2**31


def damage(content: bytes, chance: random.Random) -> bytes:
    """Cut a file, or overwrite, flip or move a few of its bytes."""
    kind = chance.choice(["cut", "flip", "flip", "flip", "zero", "noise", "repeat"])
    at = chance.randrange(len(content))
    size = chance.randint(1, 64)
    changed = bytearray(content)
    if kind == "cut":
        del changed[at:]
    elif kind == "flip":
        for _ in range(chance.randint(1, 8)):
            changed[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif kind == "zero":
        changed[at : at + size] = bytes(len(changed[at : at + size]))
    elif kind == "noise":
        changed[at : at + size] = chance.randbytes(len(changed[at : at + size]))
    else:
        changed[at:at] = changed[at : at + size]
    return bytes(changed)


def outcome(path: Path) -> str:
    """Open a model in a fork of this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # Of computing, as in the process that prepares.
        os.write(writer, _open(path).encode()[:4000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        answer = said.read().decode()
    _, status = os.waitpid(child, 0)
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else answer


def _open(path: Path) -> str:
    try:
        found = find_model(path, None)
        if found.path.is_dir():
            engine.warm_up(engine.load(found.path, frozenset(), 2), (1,))
        else:
            check_keras_file(found, MEMORY)
    except StartError as error:
        return f"refused: {error.message}"
    except BaseException as error:  # To be told as what it is.
        return f"uncaught: {type(error).__name__}: {error}"
    return "served"


def main(folder: Path, seed: int, count: int) -> None:
    chance = random.Random(seed)
    models = sorted(folder.iterdir())
    with tempfile.TemporaryDirectory() as place:
        for number in range(count):
            model = models[number % len(models)]
            copy = Path(place) / model.name
            (shutil.copytree if model.is_dir() else shutil.copyfile)(model, copy)
            files = sorted(file for file in copy.rglob("*") if file.stat().st_size) if copy.is_dir() else [copy]
            file = chance.choice([each for each in files if each.is_file()])
            file.write_bytes(damage(file.read_bytes(), chance))
            print(
                json.dumps({"number": number, "file": str(file.relative_to(place)), "came": outcome(copy)}), flush=True
            )
            shutil.rmtree(copy) if copy.is_dir() else copy.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
