"""Token counts without a tokenizer: characters by script, corrected online by the counts models report.

Counting needs no tokenizer of the model's own: an estimate within a few percent decides, and the engine counts exactly.
The cost of a character depends on its script, the cost of a script on the model, learned per model as one ratio.
"""

from __future__ import annotations

from dataclasses import dataclass

IMAGE_TOKENS = 1_000  # between a small tile (85) and a full page (about 1,600)
AUDIO_TOKENS_PER_BYTE = 0.01  # base64 characters; compressed speech, about 25 tokens per second
PDF_TOKENS_PER_BYTE = 0.02  # base64 characters; about 2,000 tokens for a page of 100 kB
VIDEO_TOKENS = 10_000
MESSAGE_TOKENS = 4  # role and separators of a chat template

_SAMPLE = 2_048  # characters looked at per text: the mix of scripts beyond is taken to be the same
_LEARN_FROM = 32  # tokens: shorter prompts say more about the template than about the text
_WEIGHT = 0.05  # of one observation in the moving average
_RATIO_RANGE = (0.4, 4.0)

_PER_ASCII = 1 / 4.0
_PER_LATIN = 1 / 2.5  # other letters below U+0590: Latin with marks, Greek, Cyrillic
_PER_OTHER = 1 / 1.5  # Hebrew, Arabic, Indic, Thai and the like
_PER_CJK = 1 / 1.2


_NOT_ASCII = bytes(range(0x80, 0x100))
_NOT_LEAD_TWO = bytes(b for b in range(0x100) if not 0xC2 <= b <= 0xDF)
_NOT_LEAD_LOW = bytes(b for b in range(0x100) if b not in (0xE0, 0xE1, 0xE2))  # U+0800 to U+2FFF


def plain_tokens(text: str) -> float:
    """Tokens of a text for an average tokenizer. Constant time for ASCII (a flag of the string), bounded for all
    else.
    """
    if text.isascii():
        return len(text) * _PER_ASCII
    # The mean over a sample. How many bytes of UTF-8 a character takes tells its script, counted in C, not in a loop.
    sample = text[:_SAMPLE]
    raw = sample.encode("utf-8", "surrogatepass")
    ascii_count = len(raw.translate(None, _NOT_ASCII))
    two = len(raw.translate(None, _NOT_LEAD_TWO))
    low = len(raw.translate(None, _NOT_LEAD_LOW))
    high = len(sample) - ascii_count - two - low
    tokens = ascii_count * _PER_ASCII + two * _PER_LATIN + low * _PER_OTHER + high * _PER_CJK
    return len(text) * (tokens / len(sample))


@dataclass(slots=True)
class TokenEstimate:
    """One model's correction. `ratio` is reported tokens over plain ones, 1.0 until learned."""

    ratio: float = 1.0

    def of(self, plain: float) -> int:
        """Tokens this model is expected to count where an average tokenizer counts `plain`."""
        return max(0, round(plain * self.ratio))

    def learn(self, plain: float, tokens: int) -> None:
        """Takes in the count a model reported for a prompt of `plain` tokens (text alone, no media)."""
        if tokens < _LEARN_FROM or plain < _LEARN_FROM:
            return
        low, high = _RATIO_RANGE
        seen = min(high, max(low, tokens / plain))
        self.ratio += _WEIGHT * (seen - self.ratio)
