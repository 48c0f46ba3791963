"""Who imports what in the model server."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import model_server
import pytest

ROOT = Path(model_server.__file__).parent
MODULES = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in ROOT.rglob("*.py")}
TENSORFLOW = {"tensorflow", "keras"}
PURE = {
    *("classes", "errors", "feedback", "ledger", "operations", "passing", "prediction_id", "routing", "tensors"),
    *("label_options", "traces", "wire", "wording"),
    *("frontends.packing", "http2.frames", "http2.headers", "rpc.codes", "rpc.framing"),
    *("protocols.feedback_grpc", "protocols.open_inference_grpc", "protocols.packed", "protocols.tensor_protos"),
    *("protocols.feedback_rest", "protocols.json_tensors", "protocols.tensorflow_rest"),
    "preparation.keras_config",
    *("protocols.examples", "protocols.limits", "protocols.open_inference_rest", "protocols.open_inference_tensors"),
    *("protocols.openapi", "protocols.signatures", "protocols.this_server"),
    *("protocols.open_inference_binary", "protocols.usual_messages", "http.repeated"),
}
"""Modules that read no clock, no environment, no file and no network."""
IMPURE = {
    "aiohttp",
    "asyncio",
    "obstore",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "time",
}


def modules_imported(file: Path) -> set[str]:
    """The modules that a module imports when it runs: what is imported for types alone does not count."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return names | {f"{node.module}.{alias.name}" for node in froms for alias in node.names}


def imports(file: Path) -> set[str]:
    """The packages that it imports."""
    return {name.partition(".")[0] for name in modules_imported(file)}


def runs_tensorflow(file: Path) -> bool:
    """Whether it imports more of TensorFlow than messages."""
    names = {name for name in modules_imported(file) if name.partition(".")[0] in TENSORFLOW}
    return any(not name.startswith("tensorflow.core.") for name in names)


def test_tensorflow_runs_where_models_are_run_and_made() -> None:
    running = {name for name, file in MODULES.items() if runs_tensorflow(file)}
    assert running == {"runtime", "recorded", "preparation.keras_export"}


def test_keras_is_for_the_child_alone_that_opens_foreign_files() -> None:
    assert {name for name, file in MODULES.items() if "keras" in imports(file)} == {"preparation.keras_export"}


def test_only_who_is_asked_for_traces_knows_what_makes_them() -> None:
    assert {name for name, file in MODULES.items() if "opentelemetry" in imports(file)} == {"tracing"}


def test_prometheus_is_known_where_metrics_are_shown() -> None:
    known = {name for name, file in MODULES.items() if "prometheus_client" in imports(file)}
    assert known == {"collectors", "fetch_metrics", "metrics"}


def test_the_operator_can_import_the_contract_alone() -> None:
    assert imports(MODULES["contract"]) <= sys.stdlib_module_names


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_modules_touch_nothing(name: str) -> None:
    assert not imports(MODULES[name]) & IMPURE
    assert not runs_tensorflow(MODULES[name])


def test_front_ends_do_not_load_tensorflow() -> None:
    """Only the messages of its protocols: else each would take 350 MB and two seconds."""
    code = (
        "import sys; from model_server.frontends import process; from model_server import grpc_server; "
        "grpc_server.prepare(); print([name for name in sys.modules if 'pywrap' in name or name.startswith('keras')])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
