"""What a body's prompt is made of: how long its text is, which media it holds, and a bounded sample to look at.

Knows the shapes of the OpenAI dialects' prompts, good and bad: anything of an unexpected type counts as nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
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


class PromptScan(msgspec.Struct):
    """Gathered while a body is walked; read once.

    plain: tokens of all text for an average tokenizer. ask: sample of what the user said last, which is what is scored.
    sample: of the whole text, the last part first to be kept. media_tokens: allowance for everything that is no text.
    """

    plain: float = 0.0
    media_tokens: int = 0
    ask: str = ""
    sample: str = ""
    modalities: frozenset[str] = frozenset({TEXT})
    _media: set[str] = set()

    def add_text(self, text: str) -> None:
        self.plain += plain_tokens(text)

    def add_media(self, modality: str, tokens: float) -> None:
        self._media.add(modality)
        self.media_tokens += int(tokens)

    def close(self) -> PromptScan:
        if self._media:
            self.modalities = frozenset({TEXT, *self._media})
        return self


def bounded(text: str) -> str:
    """A text's beginning and end."""
    if len(text) <= SAMPLE_HEAD + SAMPLE_TAIL:
        return text
    return f"{text[:SAMPLE_HEAD]}\n{text[-SAMPLE_TAIL:]}"


def read_chat(body: Mapping[str, Any]) -> PromptScan:
    """`messages`, `tools` and `functions` of a chat."""
    scan = PromptScan()
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            _message(scan, message)
    for tool in (body.get("tools"), body.get("functions"), body.get("response_format")):
        if tool:
            scan.plain += _structure(tool, _DEPTH)
    if not scan.ask:
        scan.ask = scan.sample
    return scan.close()


def _message(scan: PromptScan, message: Mapping[str, Any]) -> None:
    texts = _parts(scan, message.get("content"))
    scan.plain += MESSAGE_TOKENS
    calls = message.get("tool_calls")
    if calls:
        scan.plain += _structure(calls, _DEPTH)
    said = bounded("\n".join(bounded(text) for text in texts))
    if not said:
        return
    scan.sample = bounded(f"{said}\n{scan.sample}") if scan.sample else said
    if message.get("role") == "user":
        scan.ask = said


def _parts(scan: PromptScan, given: Any) -> list[str]:
    """The texts of a message's content, which is a string or a list of parts; media are counted on the way."""
    if isinstance(given, str):
        scan.add_text(given)
        return [given]
    texts: list[str] = []
    for part in given if isinstance(given, list) else ():
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            scan.add_text(text)
            texts.append(text)
        if isinstance(part, dict) and part.get("type") != "text":
            _media_part(scan, part)
    return texts


def _media_part(scan: PromptScan, part: Mapping[str, Any]) -> None:
    kind = part.get("type")
    if not isinstance(kind, str):
        return
    modality = _ANNOTATED_MEDIA.get(kind)
    if modality == "image":
        scan.add_media("image", IMAGE_TOKENS)
    elif modality == "audio":
        scan.add_media("audio", _payload(part, "input_audio", "data") * AUDIO_TOKENS_PER_BYTE)
    elif kind in ("video_url", "input_video", "video"):
        scan.add_media("video", VIDEO_TOKENS)
    elif kind in ("file", "input_file"):
        _file_part(scan, part)


def _file_part(scan: PromptScan, part: Mapping[str, Any]) -> None:
    """A file by what it says it is; a document unless it says otherwise."""
    modality = _file_modality(part)
    size = _payload(part, "file", "file_data")
    if modality == TEXT:
        scan.plain += size * 3 / 16  # base64 of text: 3 bytes in 4 characters, a token in 4 of those bytes
    elif modality == "image":
        scan.add_media(modality, IMAGE_TOKENS)
    elif modality == "video":
        scan.add_media(modality, VIDEO_TOKENS)
    else:
        per_byte = AUDIO_TOKENS_PER_BYTE if modality == "audio" else PDF_TOKENS_PER_BYTE
        scan.add_media(modality, max(_LEAST_FILE, size * per_byte))


def _file_modality(part: Mapping[str, Any]) -> str:
    inner = part.get("file")
    inner = inner if isinstance(inner, dict) else part
    data = inner.get("file_data")
    if isinstance(data, str) and data.startswith("data:"):
        family = data[5:64].partition("/")[0]
        return family if family in ("image", "audio", "video", TEXT) else "pdf"
    name = inner.get("filename")
    ending = name.rpartition(".")[2].lower() if isinstance(name, str) else ""
    return _ENDINGS.get(ending, "pdf")


_ENDINGS = {
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp"), "image"),
    **dict.fromkeys(("mp3", "wav", "ogg", "flac", "m4a"), "audio"),
    **dict.fromkeys(("mp4", "mov", "webm", "avi", "mkv"), "video"),
    **dict.fromkeys(("txt", "md", "csv", "json", "py", "html", "xml", "yaml"), TEXT),
}


def _payload(part: Mapping[str, Any], outer: str, name: str) -> int:
    """Characters of a part's inline data; 0 where there is none."""
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


def read_messages(body: Mapping[str, Any]) -> PromptScan:
    """`system`, `messages`, `tools` and the answer's schema of Anthropic's messages wire."""
    scan = PromptScan()
    said = bounded("\n".join(bounded(text) for text in _blocks(scan, body.get("system"))))
    if said:
        scan.plain += MESSAGE_TOKENS
        scan.sample = said
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            _blocks_message(scan, message)
    config = body.get("output_config")
    schema = config.get("format") if isinstance(config, dict) else None
    for structure in (body.get("tools"), schema or body.get("output_format")):
        if structure:
            scan.plain += _structure(structure, _DEPTH)
    if not scan.ask:
        scan.ask = scan.sample
    return scan.close()


def _blocks_message(scan: PromptScan, message: Mapping[str, Any]) -> None:
    """A message of blocks. What a tool answered is text to be seen, and not what the user asked."""
    given = message.get("content")
    texts = _blocks(scan, given)
    scan.plain += MESSAGE_TOKENS
    answers = _tool_answers(scan, given)
    said = bounded("\n".join(bounded(text) for text in texts))
    seen = "\n".join(bounded(text) for text in (said, *answers) if text)
    if seen:
        scan.sample = bounded(f"{seen}\n{scan.sample}") if scan.sample else bounded(seen)
    if said and message.get("role") == "user":
        scan.ask = said


def _tool_answers(scan: PromptScan, given: Any) -> list[str]:
    texts: list[str] = []
    for block in given if isinstance(given, list) else ():
        if isinstance(block, dict) and block.get("type") == "tool_result":
            texts += _blocks(scan, block.get("content"))
    return texts


def _blocks(scan: PromptScan, given: Any) -> list[str]:
    """The texts of a string or a list of blocks; all else is counted on the way, tool results aside."""
    if isinstance(given, str):
        scan.add_text(given)
        return [given]
    texts: list[str] = []
    for block in given if isinstance(given, list) else ():
        if not isinstance(block, dict):
            continue
        text = block.get("text")
        if isinstance(text, str):
            scan.add_text(text)
            texts.append(text)
        else:
            _silent_block(scan, block)
    return texts


def _silent_block(scan: PromptScan, block: Mapping[str, Any]) -> None:
    """A block that is no text of its own: media, a call, thinking, what a server tool found."""
    kind = block.get("type")
    if kind == "image":
        scan.add_media("image", IMAGE_TOKENS)
    elif kind == "document":
        _document(scan, block.get("source"))
    elif kind == "thinking":
        thought = block.get("thinking")
        scan.add_text(thought if isinstance(thought, str) else "")
    elif kind not in ("tool_result", "redacted_thinking"):
        scan.plain += _structure({name: value for name, value in block.items() if name != "type"}, _DEPTH)


def _document(scan: PromptScan, source: Any) -> None:
    """A document by its source: plain text, blocks, or pages."""
    source = source if isinstance(source, dict) else {}
    data = source.get("data")
    size = len(data) if isinstance(data, str) else 0
    kind = source.get("type")
    if kind == "text":
        scan.add_text(data if isinstance(data, str) else "")
    elif kind == "content":
        _blocks(scan, source.get("content"))
    else:
        scan.add_media("pdf", max(_LEAST_FILE, size * PDF_TOKENS_PER_BYTE))


def read_responses(body: Mapping[str, Any]) -> PromptScan:
    """`instructions`, `input`, `tools` and the answer's schema of OpenAI's responses wire."""
    scan = PromptScan()
    instructions = body.get("instructions")
    if isinstance(instructions, str) and instructions:
        scan.add_text(instructions)
        scan.plain += MESSAGE_TOKENS
        scan.sample = bounded(instructions)
    given = body.get("input")
    for item in given if isinstance(given, list) else ({"role": "user", "content": given},):
        if isinstance(item, dict):
            _item(scan, item)
    text = body.get("text")
    for structure in (body.get("tools"), text.get("format") if isinstance(text, dict) else None):
        if structure:
            scan.plain += _structure(structure, _DEPTH)
    if not scan.ask:
        scan.ask = scan.sample
    return scan.close()


def _item(scan: PromptScan, item: Mapping[str, Any]) -> None:
    """A message, or what stands between messages: calls, their results, thinking. Sealed thinking is not counted."""
    kind = item.get("type")
    if kind in (None, "message"):
        _message(scan, item)
    elif kind in ("function_call_output", "custom_tool_call_output"):
        _message(scan, {"content": item.get("output")})
    elif kind == "reasoning":
        for parts in (item.get("content"), item.get("summary")):
            _parts(scan, parts)
    elif kind == "image_generation_call":
        scan.add_media("image", IMAGE_TOKENS)
    else:
        scan.plain += _structure({name: value for name, value in item.items() if name != "type"}, _DEPTH)


def read_completions(body: Mapping[str, Any]) -> PromptScan:
    """`prompt`: a text, texts, token ids, or lists of those."""
    return _prompt(body.get("prompt"))


def read_embeddings(body: Mapping[str, Any]) -> PromptScan:
    """`input`: as a completion's prompt."""
    return _prompt(body.get("input"))


def _prompt(given: Any) -> PromptScan:
    scan = PromptScan()
    texts: list[str] = []
    for piece in given if isinstance(given, list) else (given,):
        if isinstance(piece, str):
            scan.add_text(piece)
            texts.append(bounded(piece) if len(texts) < 4 else "")
        elif isinstance(piece, int):
            scan.plain += 1
        elif isinstance(piece, list):
            scan.plain += len(piece)
    scan.sample = scan.ask = bounded("\n".join(texts))
    return scan.close()
