"""The Dockerfile and the contract say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

from model_server import contract

TEXT = (Path(__file__).parents[2] / "serving_image" / "Dockerfile").read_text()


def instruction(name: str) -> str:
    """The arguments of the last instruction of a kind."""
    return re.findall(rf"^{name} (.*)$", TEXT, re.MULTILINE)[-1]


def test_it_starts_what_the_contract_names() -> None:
    assert json.loads(instruction("CMD")) == list(contract.SERVE_COMMAND)
    assert instruction("EXPOSE").split() == [str(contract.HTTP_PORT), str(contract.ADMIN_PORT)]


def test_it_has_no_rights_and_the_folders_it_needs() -> None:
    assert instruction("USER") == "10001:10001"
    assert f"{contract.MODEL_DIR} {contract.STATE_DIR}" in TEXT


def test_code_comes_after_packages() -> None:
    assert TEXT.index("pip install") < TEXT.index("COPY serving_image/model_server")
    assert "--require-hashes" in TEXT
