"""What other libraries say, cut to what helps and may be shown."""

from __future__ import annotations

import pytest
from model_server.wording import innermost_cause, telling_line, without_secrets

GRAPH = """Graph execution error:

Detected at node map/while/DecodeJpeg defined at (most recent call last):
{trace}
Unknown image file format.
\t [[{{{{node map/while/DecodeJpeg}}}}]] [Op:__inference_g_212]"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GRAPH.format(trace="<stack traces unavailable>"), "Unknown image file format."),
        (
            GRAPH.format(trace='  File "/m.py", line 18, in f\n\n  File "/m.py", line 12, in g\n'),
            "Unknown image file format.",
        ),
        ("cannot compute MatMul\n at a place", "cannot compute MatMul"),
        ("Graph execution error:", "Graph execution error:"),
        ("", ""),
        ("x" * 900, "x" * 500),
    ],
)
def test_the_line_that_tells_what_is_wrong(text: str, line: str) -> None:
    assert telling_line(text) == line


def test_the_innermost_cause() -> None:
    text = "Error in A. Exception encountered: Error in B. Exception encountered: no layer C\n Full object config: {}"
    assert innermost_cause(text) == "no layer C"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("500, url='https://h/a?X-Amz-Signature=s&b=c'", "500, url='https://h/a?…'"),
        ("URL('/moved?sig=s')", "URL('/moved?…')"),
        ("InvalidURL: https://user:pass@h:1/a is it one? Perhaps", "InvalidURL: https://h:1/a is it one? Perhaps"),
    ],
)
def test_urls_lose_their_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
