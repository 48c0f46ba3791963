"""The OpenAPI document that a server gives, tried on it by schemathesis: it answers as it says, whatever is asked."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.serving.model_servers import HTTP_PORT, call
from tests.support import environments

if TYPE_CHECKING:
    from tests.serving.conftest import StartServer

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
SECONDS = 100
"""At most, on a machine that does much else; alone it takes 15."""
NOT_CHECKED = "positive_data_acceptance"
"""What shapes a model takes is not in the document, so that most of what fits it does not fit the model."""


def test_it_answers_as_it_says(shared_classic: StartServer, tmp_path: Path) -> None:
    server = shared_classic("half_plus_two", MODEL_NAME="half_plus_two")
    document = call(server.address, HTTP_PORT, "GET", "/openapi.json")
    assert document.json()["components"]["parameters"]["model"]["schema"] == {"enum": ["half_plus_two"]}
    schemathesis = environments.environment(CLIENTS / "schemathesis.txt") / "bin" / "st"
    command = [
        *(str(schemathesis), "--config-file", str(CLIENTS / "schemathesis.toml")),
        *("run", f"http://{server.host_port}/openapi.json", "--phases", "coverage,fuzzing", "--no-color"),
        *("--max-examples", "2", "--max-time", str(SECONDS), "--generation-deterministic", "--continue-on-failure"),
        *("--exclude-checks", NOT_CHECKED, "--report-json-path", str(tmp_path / "report.json")),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=SECONDS + 60)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["operations"]["tested"] == report["operations"]["total"]
    assert report["test_cases"]["generated"] > 200
    assert "a request failed" not in server.log_file.read_text()
    assert json.loads(call(server.address, HTTP_PORT, "GET", "/v2/health/ready").body) == {"ready": True}
