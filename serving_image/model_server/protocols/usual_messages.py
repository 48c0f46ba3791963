"""Messages that are like others but for the numbers in them: understood, or written, once. Pure.

Who asks for predictions sends messages that all begin with the same bytes and end with the packed numbers of the one
tensor; answers differ in their numbers and in the id. To parse a message takes several times as long as to see that its
beginning is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_server.dataplane.question import Question
from model_server.protocols.packed import unpack_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from model_server.tensors import Signature

MOST: Final = 64
"""Lengths of messages whose forms are kept."""
MOST_ALIKE: Final = 4
"""Forms of one length."""
LONGEST: Final = 1024
"""Bytes of a beginning."""
_FILLERS: Final = (b"\x00", b"\xff")
"""No message has a field that begins with one of these."""


@dataclass(frozen=True, slots=True)
class Form:
    """What all messages ask that begin like this."""

    head: bytes
    model: tuple[Any, ...]
    """Where the catalog finds it."""
    signatures: Mapping[str, Signature]
    """For which it was understood."""
    signature: str
    input: str
    kind: np.dtype[Any]
    shape: tuple[int, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[str, object]
    id: str

    def question(self, message: bytes, deadline: float | None) -> Question:
        """Read the numbers of a message of this form."""
        numbers = np.frombuffer(message[len(self.head) :], self.kind).reshape(self.shape)
        return Question(self.signature, {self.input: numbers}, self.outputs, deadline, self.parameters)


class Forms:
    """Those that one method has seen. `numbers` takes a message: the packed numbers, where it has some."""

    def __init__(self, parse: Callable[[bytes], Any], numbers: Callable[[Any], bytes]) -> None:
        self._parse = parse
        self._numbers = numbers
        self._known: dict[int, tuple[Form, ...]] = {}
        """By the length of the whole message."""
        self._seen: dict[int, bytes] = {}
        """How messages began that were not known."""

    def find(self, message: bytes) -> Form | None:
        """Find the form of a message."""
        for form in self._known.get(len(message), ()):
            if message.startswith(form.head):
                return form
        return None

    def learn(
        self,
        message: bytes,
        request: Any,
        question: Question,
        model: tuple[Any, ...],
        signatures: Mapping[str, Signature],
    ) -> None:
        """Remember what a message of this kind means, if it is the second of them."""
        numbers = self._numbers(request)
        head = message[: len(message) - len(numbers)]
        if not numbers or len(head) > LONGEST or len(question.inputs) != 1:
            return
        if self._seen.get(len(message)) != head:
            self._keep(self._seen, len(message), head)
            return
        ((name, array),) = question.inputs.items()
        again = unpack_numbers(numbers, signatures[question.signature].inputs[name].dtype, array.shape)
        others = [form for form in self._known.get(len(message), ()) if form.head != head]
        if again is None or again.dtype != array.dtype or len(others) >= MOST_ALIKE:
            return
        if not all(self._ends_with(head, filler * len(numbers)) for filler in _FILLERS):
            return
        form = Form(
            head,
            model,
            signatures,
            question.signature,
            name,
            array.dtype,
            array.shape,
            question.outputs,
            question.parameters,
            getattr(request, "id", ""),
        )
        self._keep(self._known, len(message), (form, *others))

    def _ends_with(self, head: bytes, filler: bytes) -> bool:
        """Tell whether what follows this beginning are the numbers, whatever they are."""
        try:
            return self._numbers(self._parse(head + filler)) == filler
        except Exception:  # Theirs is of a type that depends on how protobuf was built.
            return False

    @staticmethod
    def _keep(kept: dict[int, Any], length: int, what: object) -> None:
        if len(kept) >= MOST:
            kept.clear()
        kept[length] = what


def gap(one: bytes, other: bytes, size: int) -> tuple[bytes, bytes]:
    """Return what stands before and after the `size` bytes in which two messages differ, all of them."""
    start = next(place for place, (here, there) in enumerate(zip(one, other, strict=True)) if here != there)
    return one[:start], one[start + size :]
