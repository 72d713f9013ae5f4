"""A body's prompt, scanned: the length of its text, the media it holds, and a bounded sample to look at.

Knows the shapes of every dialect's prompts, good and bad: anything of an unexpected type counts as nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from runtime.contract.targets import TEXT
from runtime.routing.facts.tokens import (
    AUDIO_TOKENS_PER_BYTE,
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    PDF_TOKENS_PER_BYTE,
    VIDEO_TOKENS,
    plain_tokens,
)

SAMPLE_HEAD = 3_072  # characters kept of a text's beginning
SAMPLE_TAIL = 1_024  # and of its end, where the question often stands
_DEPTH = 6  # levels of a tool's schema that are counted
_ANNOTATED_MEDIA = {"image_url": "image", "input_image": "image", "image": "image", "input_audio": "audio"}
_LEAST_FILE = 1_000  # tokens of a file known by its id or address alone
_MOST_SAMPLED = 4  # of the texts of a plain prompt
_SIGNED_MEMBER = "extra_content"  # of a chat's message or call: signatures that a client gives back as it got them
_BILLING = "x-anthropic-billing-header"  # how a block of the system prompt begins that is written for the vendor
_ENDINGS = {
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp"), "image"),
    **dict.fromkeys(("mp3", "wav", "ogg", "flac", "m4a"), "audio"),
    **dict.fromkeys(("mp4", "mov", "webm", "avi", "mkv"), "video"),
    **dict.fromkeys(("txt", "md", "csv", "json", "py", "html", "xml", "yaml"), TEXT),
}


class PromptScan(msgspec.Struct):
    """Filled while a body is walked; read once.

    plain: tokens of all text for an average tokenizer. sample: of the whole text, the last part first to be kept.
    turns: samples of the user's own messages, in their order. media_tokens: allowance for everything but text.
    media_asked: the user's last message holds media. attached: characters of text files. answered: the last message is a
    tool's result. first: the first message. opening: a hash of all up to the user's first message; 0 without one. continued:
    there are messages of others behind that. signed: a model's turn holds what it signed or encrypted for itself.
    longest: tokens of the longest of several prompts; 0 for one.
    """

    plain: float = 0.0
    media_tokens: int = 0
    sample: str = ""
    turns: list[str] = []
    modalities: frozenset[str] = frozenset({TEXT})
    media_asked: bool = False
    attached: int = 0
    answered: bool = False
    first: str = ""
    opening: int = 0
    continued: bool = False
    signed: bool = False
    longest: float = 0.0
    _begun: bool = False
    _media: set[str] = set()
    _parts: int = 0  # of media
    _before: int = 0  # of them, at the end of the message before

    def add_media(self, modality: str, tokens: float) -> None:
        self._media.add(modality)
        self._parts += 1
        self.media_tokens += int(tokens)

    def add_structure(self, value: Any) -> None:
        """A schema or a call."""
        self.plain += _structure(value, _DEPTH)

    def add_message(self, seen: str, *, asked: str | None = None, answered: bool = False) -> None:
        """A message by its texts. asked: the user's own words in it, None if it is not the user's. answered: it is a tool's."""
        if seen:
            self.sample = bounded(f"{seen}\n{self.sample}") if self.sample else bounded(seen)
        if not self._begun:
            # A text is seen up to a bound. The tokens so far stand for the rest of it, and for media.
            self.first = self.first or seen
            self.opening = hash((self.opening, seen, self.plain, self.media_tokens))
            self._begun = asked is not None
        elif asked is None:
            self.continued = True
        if asked:
            self.turns.append(asked)
        if asked is not None and not answered:
            self.media_asked = self._parts > self._before
        self._before = self._parts
        self.answered = answered

    def close(self) -> PromptScan:
        if self._media:
            self.modalities = frozenset({TEXT, *self._media})
        return self


def bounded(text: str) -> str:
    """A text's beginning and end."""
    if len(text) <= SAMPLE_HEAD + SAMPLE_TAIL:
        return text
    return f"{text[:SAMPLE_HEAD]}\n{text[-SAMPLE_TAIL:]}"


# OpenAI's chat wire


def read_chat(body: Mapping[str, Any]) -> PromptScan:
    """`messages`, `tools` and `functions` of a chat."""
    scan = PromptScan()
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            _message(scan, message)
    for name in ("tools", "functions", "response_format"):
        if structure := body.get(name):
            scan.add_structure(structure)
    return scan.close()


def _message(scan: PromptScan, message: Mapping[str, Any]) -> None:
    texts = _parts(scan, message.get("content"))
    scan.plain += MESSAGE_TOKENS
    if calls := message.get("tool_calls"):
        scan.add_structure(calls)
        each_call = calls if isinstance(calls, list) else ()
        scan.signed = scan.signed or any(isinstance(call, dict) and _SIGNED_MEMBER in call for call in each_call)
    if _SIGNED_MEMBER in message:
        scan.signed = True
    seen = bounded("\n".join(bounded(text) for text in texts))
    role = message.get("role")
    scan.add_message(seen, asked=seen if role == "user" else None, answered=role in ("tool", "function"))


def _parts(scan: PromptScan, given: Any) -> list[str]:
    """The texts of a message's content, which is a string or a list of parts; media are counted on the way."""
    if isinstance(given, str):
        scan.plain += plain_tokens(given)
        return [given]
    texts: list[str] = []
    for part in given if isinstance(given, list) else ():
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            scan.plain += plain_tokens(text)
            texts.append(text)
        if isinstance(part, dict) and part.get("type") != "text":
            _media_part(scan, part)
    return texts


def _media_part(scan: PromptScan, part: Mapping[str, Any]) -> None:
    kind = part.get("type")
    modality = _ANNOTATED_MEDIA.get(kind) if isinstance(kind, str) else None
    # (1) Media by the type of their part.
    if modality == "image":
        scan.add_media("image", IMAGE_TOKENS)
    elif modality == "audio":
        scan.add_media("audio", _payload(part, "input_audio", "data") * AUDIO_TOKENS_PER_BYTE)
    elif kind in ("video_url", "input_video", "video"):
        scan.add_media("video", VIDEO_TOKENS)
    if kind not in ("file", "input_file"):
        return
    # (2) A file by its data URL, else by its name; a document if neither says otherwise.
    inner = part.get("file")
    inner = inner if isinstance(inner, dict) else part
    data, name = inner.get("file_data"), inner.get("filename")
    if isinstance(data, str) and data.startswith("data:"):
        family = data[5:64].partition("/")[0]
        modality = family if family in ("image", "audio", "video", TEXT) else "pdf"
    else:
        modality = _ENDINGS.get(name.rpartition(".")[2].lower() if isinstance(name, str) else "", "pdf")
    size = _payload(part, "file", "file_data")
    if modality == TEXT:
        scan.attached += size * 3 // 4
        scan.plain += size * 3 / 16  # base64 of text: 3 bytes in 4 characters, a token in 4 of those bytes
    elif modality == "image":
        scan.add_media(modality, IMAGE_TOKENS)
    elif modality == "video":
        scan.add_media(modality, VIDEO_TOKENS)
    else:
        per_byte = AUDIO_TOKENS_PER_BYTE if modality == "audio" else PDF_TOKENS_PER_BYTE
        scan.add_media(modality, max(_LEAST_FILE, size * per_byte))


def _payload(part: Mapping[str, Any], outer: str, name: str) -> int:
    """Characters of a part's inline data; 0 without any."""
    inner = part.get(outer)
    data = inner.get(name) if isinstance(inner, dict) else part.get(name)
    return len(data) if isinstance(data, str) else 0


def _structure(value: Any, depth: int) -> float:
    """Tokens of a schema or a call as JSON would write it, names and marks included."""
    if isinstance(value, str):
        return plain_tokens(value) + 1
    if depth == 0:
        return 1.0
    if isinstance(value, dict):
        return sum(
            len(name) / 4 + 1 + _structure(inner, depth - 1) for name, inner in value.items() if isinstance(name, str)
        )
    if isinstance(value, list):
        return sum(_structure(inner, depth - 1) for inner in value)
    return 1.0


# Anthropic's messages wire


def read_messages(body: Mapping[str, Any]) -> PromptScan:
    """`system`, `messages`, `tools` and the answer's schema of Anthropic's messages wire."""
    scan = PromptScan()
    texts = _blocks(scan, body.get("system"))
    # An agent's own mark changes from turn to turn, and is no part of the conversation's beginning.
    system = bounded("\n".join([bounded(text) for text in texts if not text.startswith(_BILLING)]))
    if system:
        scan.plain += MESSAGE_TOKENS
        scan.add_message(system)
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        given = message.get("content")
        own = bounded("\n".join(bounded(text) for text in _blocks(scan, given)))
        scan.plain += MESSAGE_TOKENS
        # A tool's results are text to be seen, and not the user's question.
        results: list[str] = []
        answered = False
        for block in given if isinstance(given, list) else ():
            if isinstance(block, dict) and block.get("type") == "tool_result":
                answered = True
                results += _blocks(scan, block.get("content"))
        seen = "\n".join(bounded(text) for text in (own, *results) if text)
        scan.add_message(seen, asked=own if message.get("role") == "user" else None, answered=answered)
    config = body.get("output_config")
    schema = config.get("format") if isinstance(config, dict) else None
    for structure in (body.get("tools"), schema or body.get("output_format")):
        if structure:
            scan.add_structure(structure)
    return scan.close()


def _blocks(scan: PromptScan, given: Any) -> list[str]:
    """The texts of a string or a list of blocks; all else is counted on the way, tool results aside."""
    if isinstance(given, str):
        scan.plain += plain_tokens(given)
        return [given]
    texts: list[str] = []
    for block in given if isinstance(given, list) else ():
        text = block.get("text") if isinstance(block, dict) else None
        if isinstance(text, str):
            scan.plain += plain_tokens(text)
            texts.append(text)
        elif isinstance(block, dict):
            _silent_block(scan, block)
    return texts


def _silent_block(scan: PromptScan, block: Mapping[str, Any]) -> None:
    """A block without text of its own: media, a call, thinking, the find of a server tool."""
    kind = block.get("type")
    if kind == "image":
        scan.add_media("image", IMAGE_TOKENS)
    elif kind == "thinking":
        thought = block.get("thinking")
        scan.signed = scan.signed or bool(block.get("signature"))
        scan.plain += plain_tokens(thought if isinstance(thought, str) else "")
    elif kind == "document":
        # By its source: plain text, blocks, or pages.
        source = block.get("source")
        source = source if isinstance(source, dict) else {}
        data = source.get("data")
        text = data if isinstance(data, str) else ""
        if source.get("type") == "text":
            scan.plain += plain_tokens(text)
            scan.attached += len(text)
        elif source.get("type") == "content":
            scan.attached += sum(map(len, _blocks(scan, source.get("content"))))
        else:
            scan.add_media("pdf", max(_LEAST_FILE, len(text) * PDF_TOKENS_PER_BYTE))
    elif kind == "redacted_thinking":
        scan.signed = True
    elif kind != "tool_result":
        scan.plain += _structure({name: value for name, value in block.items() if name != "type"}, _DEPTH)


# OpenAI's responses wire


def read_responses(body: Mapping[str, Any]) -> PromptScan:
    """`instructions`, `input`, `tools` and the answer's schema of OpenAI's responses wire."""
    scan = PromptScan()
    instructions = body.get("instructions")
    if isinstance(instructions, str) and instructions:
        scan.plain += plain_tokens(instructions)
        scan.plain += MESSAGE_TOKENS
        scan.add_message(instructions)
    given = body.get("input")
    for item in given if isinstance(given, list) else ({"role": "user", "content": given},):
        if not isinstance(item, dict):
            continue
        kind = item.get("type")
        if kind in (None, "message"):
            _message(scan, item)
        elif kind in ("function_call_output", "custom_tool_call_output"):
            _message(scan, {"role": "tool", "content": item.get("output")})
        elif kind == "reasoning":  # its sealed part is not counted
            scan.signed = scan.signed or bool(item.get("encrypted_content"))
            for parts in (item.get("content"), item.get("summary")):
                _parts(scan, parts)
        elif kind == "image_generation_call":
            scan.add_media("image", IMAGE_TOKENS)
        else:
            scan.plain += _structure({name: value for name, value in item.items() if name != "type"}, _DEPTH)
    text = body.get("text")
    for structure in (body.get("tools"), text.get("format") if isinstance(text, dict) else None):
        if structure:
            scan.add_structure(structure)
    return scan.close()


# Plain prompts


def read_completions(body: Mapping[str, Any]) -> PromptScan:
    """`prompt`: a text, texts, token ids, or lists of those."""
    return _prompt(body.get("prompt"))


def read_embeddings(body: Mapping[str, Any]) -> PromptScan:
    """`input`: as a completion's prompt."""
    return _prompt(body.get("input"))


def read_rerank(body: Mapping[str, Any]) -> PromptScan:
    """`query` and `documents`, texts or objects with one: the query is read with each document."""
    query, documents = body.get("query"), body.get("documents")
    texts = [each.get("text") if isinstance(each, dict) else each for each in _listed(documents)]
    scan = _prompt([query, *texts])
    asked = plain_tokens(query) if isinstance(query, str) else 0.0
    scan.plain += asked * max(0, len(texts) - 1)
    scan.longest += asked
    return scan


def _listed(given: Any) -> Sequence[Any]:
    return given if isinstance(given, list) else (given,)


def _prompt(given: Any) -> PromptScan:
    """One prompt, or several, which are read each for itself: token ids in a row are one."""
    scan = PromptScan()
    texts: list[str] = []
    pieces = _listed(given)
    for piece in pieces:
        before = scan.plain
        if isinstance(piece, str):
            scan.plain += plain_tokens(piece)
            texts.append(bounded(piece) if len(texts) < _MOST_SAMPLED else "")
        elif isinstance(piece, int):
            scan.plain += 1
            continue
        elif isinstance(piece, list):
            scan.plain += len(piece)
        if len(pieces) > 1:
            scan.longest = max(scan.longest, scan.plain - before)
    scan.add_message(bounded(whole := "\n".join(texts)), asked=whole)
    return scan.close()
