"""Reads TensorFlow Serving's model configuration file: several models, and which of their versions are served.

    model_config_list {
      config {
        name: "news"
        base_path: "/models/news"
        model_platform: "tensorflow"
        model_version_policy { specific { versions: 3 versions: 4 } }
        version_labels { key: "stable" value: 3 }
      }
    }

A model's versions are the folders below its base path whose names are numbers. Without a policy the newest is served.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import text_format

from model_server import tensorflow_package
from model_server.contract import StartFailure
from model_server.errors import StartError

tensorflow_package.enter()

from tensorflow_serving.config import model_server_config_pb2  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PLATFORMS: Final = ("", "tensorflow")


@dataclass(frozen=True, slots=True)
class Policy:
    """Which versions are served."""

    latest: int | None = 1
    """So many of the newest; None: no matter how many."""
    specific: frozenset[int] = frozenset()
    """These, if there are any here."""

    def choose(self, present: Iterable[int]) -> set[int]:
        """Choose among the versions that are there."""
        if self.specific:
            return set(self.specific) & set(present)
        newest = sorted(present, reverse=True)
        return set(newest if self.latest is None else newest[: self.latest])


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model of the file."""

    name: str
    base_path: Path
    policy: Policy = Policy()
    version_labels: Mapping[str, int] = field(default_factory=dict)

    def present(self) -> dict[int, Path]:
        """Find the folders of its versions. A base path that is not there has none yet."""
        try:
            folders = [entry for entry in self.base_path.iterdir() if entry.name.isdecimal() and entry.is_dir()]
        except OSError:
            return {}
        return {int(folder.name): folder for folder in folders}


def read_models_file(path: Path) -> tuple[ModelConfig, ...]:
    """Read the file. Raises `StartError` that says what is wrong with it."""
    document = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), document)
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror}") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise _bad(path, f"is no model_config_list: {error}") from error
    models = tuple(_model(path, config) for config in document.model_config_list.config)
    if not models:
        raise _bad(path, "names no model in a model_config_list")
    names = [model.name for model in models]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _bad(path, f"has the model {', '.join(twice)} twice")
    return models


def _model(path: Path, config: Any) -> ModelConfig:
    if not config.name or "/" in config.name or ":" in config.name:
        raise _bad(path, f"has the name {config.name!r}, which no URL can carry")
    if not config.base_path.startswith("/"):
        raise _bad(path, f"has the base_path {config.base_path!r} of {config.name}, which is not absolute")
    if config.model_platform not in _PLATFORMS:
        raise _bad(path, f"has the platform {config.model_platform!r} of {config.name}; this server has tensorflow")
    if config.HasField("logging_config"):
        raise _bad(path, f"has a logging_config of {config.name}: requests are not logged by this server")
    if any(version <= 0 for version in config.version_labels.values()):
        raise _bad(path, f"has a label of {config.name} for a version that is no number from 1")
    policy = _policy(config.model_version_policy)
    return ModelConfig(config.name, Path(config.base_path), policy, dict(config.version_labels))


def _policy(policy: Any) -> Policy:
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return Policy(latest=None)
    if kind == "specific":
        return Policy(specific=frozenset(policy.specific.versions))
    return Policy(latest=policy.latest.num_versions or 1)


def _bad(path: Path, what: str) -> StartError:
    return StartError(StartFailure.BAD_SETTINGS, f"{path.name} {what}")
