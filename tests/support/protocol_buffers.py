"""Makes Python of the project's own .proto files: `python -m tests.support.protocol_buffers [--check]`.

The compiler has an environment of its own (`protoc.txt`). Its major version is that of the locked protobuf: what an
older one has made is answered with a warning.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.environments import python

REQUIREMENTS = Path(__file__).with_name("protoc.txt")
ROOT = Path(__file__).parents[2] / "serving_image"
PROTOS = tuple(sorted((ROOT / "model_server" / "protocols").glob("*.proto")))


def made() -> dict[Path, bytes]:
    """Compile all files: what they should be, by the path where it belongs."""
    with tempfile.TemporaryDirectory() as folder:
        command = [python(REQUIREMENTS), "-m", "grpc_tools.protoc", f"-I{ROOT}"]
        outputs = [f"--python_out={folder}", f"--pyi_out={folder}"]
        names = [str(proto) for proto in PROTOS]
        done = subprocess.run([*command, *outputs, *names], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        files = [file for file in Path(folder).rglob("*") if file.is_file()]
        return {ROOT / file.relative_to(folder): file.read_bytes() for file in files}


def main(arguments: list[str]) -> None:
    """Write the files, or check that they are as they should be."""
    stale = []
    for path, content in made().items():
        if path.exists() and path.read_bytes() == content:
            continue
        stale.append(str(path.relative_to(ROOT.parent)))
        if arguments != ["--check"]:
            path.write_bytes(content)
    if stale and arguments == ["--check"]:
        raise SystemExit(f"not what the .proto files say: {', '.join(stale)}; run: make generate")


if __name__ == "__main__":
    main(sys.argv[1:])
