"""Steps of a starting vLLM, read from its log. Pure; knows the lines of vLLM 0.32."""

from __future__ import annotations

_STEPS = (
    ("Starting to load model", "loading weights"),
    ("Loading weights took", "weights loaded"),
    ("Start compiling", "compiling"),
    ("torch.compile takes", "compiled"),
    ("GPU KV cache size", "KV cache laid out"),
    ("Capturing CUDA graph", "capturing CUDA graphs"),
    ("Starting vLLM server", "opening its endpoint"),
)


class StartProgress:
    """The steps of one start, each reported once."""

    def __init__(self) -> None:
        self._left = dict(_STEPS)

    def step(self, line: str) -> str | None:
        """The step that a log line announces, in words for people; None if it announces none or one already reported."""
        sign = next((sign for sign in self._left if sign in line), None)
        return None if sign is None else self._left.pop(sign)
