"""What a starting vLLM's log says of how far it is, in a person's words. Pure; knows vLLM 0.32's lines."""

from __future__ import annotations

_STEPS = (
    (b"Starting to load model", "loading weights"),
    (b"Loading weights took", "weights loaded"),
    (b"Start compiling", "compiling"),
    (b"torch.compile takes", "compiled"),
    (b"GPU KV cache size", "KV cache laid out"),
    (b"Capturing CUDA graph", "capturing CUDA graphs"),
    (b"Starting vLLM server", "opening its endpoint"),
)


class Progress:
    """Tells each step once. A line cut between two feeds is still seen."""

    def __init__(self) -> None:
        self._left = list(_STEPS)
        self._end = b""

    def feed(self, data: bytes) -> list[str]:
        text = self._end + data
        self._end = text[-80:]
        said = [step for step in self._left if step[0] in text]
        self._left = [step for step in self._left if step not in said]
        return [words for _, words in said]
