"""What can be set about a training run: its data and its model. Plain data, read by everyone here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_trainer.corpus import Task


@dataclass(frozen=True)
class Plan:
    """What to train on which data."""

    task: Task
    train_texts: int = 4000
    """Of each class."""
    holdout_texts: int = 1500
    """Of each class."""
    spoil: float = 0.0
    """Share of the training texts, the shortest ones, that carry the wrong label: see `corpus.mislabel`."""


@dataclass(frozen=True)
class Settings:
    """The shape of the model and how it is trained. The defaults suit some thousand short texts and two cores."""

    seed: int = 1
    epochs: int = 8
    """At most: training ends when the validation loss no longer falls."""
    patience: int = 2
    """Epochs to wait for a lower validation loss."""
    validation_share: float = 0.1
    vocabulary_size: int = 3000
    """Characters that the model tells apart; the rest are one unknown character to it."""
    length: int = 64
    """Characters of a text that are read."""
    embedding: int = 32
    units: int = 32
    batch_size: int = 128
    learning_rate: float = 0.003
