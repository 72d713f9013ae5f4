"""Messages of the contract as input items of the responses wire.

A model's thinking goes back only to who sealed it: an item of this wire as it was, a signature of this wire as the item it
came from. Plain thinking goes where the server takes it back in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from runtime.contract.codec import Unsupported
from runtime.contract.messages import (
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from runtime.dialects.openai_responses.profile import ResponsesProfile
from runtime.dialects.openai_responses.read_request.tools import INPUT
from runtime.dialects.openai_responses.signatures import read_native
from runtime.dialects.openai_responses.words import NAME
from runtime.wire import data_url

Json = dict[str, Any]

_FILES = {"application/pdf": "document.pdf", "text/plain": "document.txt", "text/markdown": "document.md"}
_SEALED = ("id", "summary", "content", "encrypted_content")


class Items:
    """Writes one conversation. dropped: takes the names of what had to go."""

    def __init__(self, profile: ResponsesProfile, dropped: list[str]) -> None:
        self._profile, self._dropped = profile, dropped

    def written(self, messages: Sequence[Message]) -> list[Json]:
        """Raises Unsupported."""
        return [item for message in messages for item in self._message(message)]

    def _message(self, message: Message) -> Iterator[Json]:
        if message.name:
            self._dropped.append("name")
        match message.role:
            case Role.SYSTEM:
                yield {"role": self._profile.system, "content": self._content(message.parts)}
            case Role.USER:
                yield from self._user(message)
            case Role.ASSISTANT:
                yield from self._turn(message)

    def _user(self, message: Message) -> Iterator[Json]:
        """Results come before what the user says with them."""
        for part in message.parts:
            if isinstance(part, ToolResult):
                yield self._result(part)
        said = [part for part in message.parts if not isinstance(part, ToolResult)]
        if said:
            yield {"role": "user", "content": self._content(said)}

    def _turn(self, message: Message) -> Iterator[Json]:
        """Text that is not interrupted is one message."""
        text: list[str] = []
        phase: Json = {}
        for part in message.parts:
            if isinstance(part, Text | Refusal):
                text.append(part.text)
                phase = part.extra.get(NAME, {}) if isinstance(part, Text) else phase
                continue
            if text:
                yield _said(text, phase)
                text, phase = [], {}
            yield from self._part_of_turn(part)
        if text:
            yield _said(text, phase)

    def _part_of_turn(self, part: Part) -> Iterator[Json]:
        match part:
            case ToolCall():
                yield _call(part)
            case Reasoning():
                yield from self._thought(part)
            case Opaque(wire=wire, value=value) if wire == NAME and isinstance(value, dict):
                yield value
            case Media(kind="image", data=str(data)):
                yield {"type": "image_generation_call", "status": "completed", "result": data}
            case _:
                self._dropped.append("messages")

    def _thought(self, part: Reasoning) -> Iterator[Json]:
        own, item = read_native(part.signature), part.extra.get(NAME, {})
        if own is not None:
            summary = [{"type": "summary_text", "text": part.text}] if part.text else []
            sealed: Json = {"type": "reasoning", "summary": summary, "encrypted_content": own.content}
            yield sealed | ({"id": own.id} if own.id else {})
        elif item.get("encrypted_content"):
            yield {"type": "reasoning", **{name: item[name] for name in _SEALED if item.get(name) is not None}}
        elif self._profile.plain_thinking and part.text:
            content = [{"type": "reasoning_text", "text": part.text}]
            yield {"type": "reasoning", "summary": [], "content": content}

    def _result(self, result: ToolResult) -> Json:
        """A failure says so in its text: the wire has no member for it."""
        texts = [part.text for part in result.content if isinstance(part, Text)]
        output: Any = "\n".join(texts)
        if len(texts) < len(result.content):
            output = [self._part(part) for part in result.content]
        elif result.is_error:
            output = msgspec.json.encode({"error": output}).decode()
        return {"type": "function_call_output", "call_id": result.call_id, "output": output}

    def _content(self, parts: Sequence[Part]) -> Any:
        if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].cache is None:
            return parts[0].text
        return [self._part(part) for part in parts]

    def _part(self, part: Part) -> Json:
        match part:
            case Text(text=text):
                written: Json = {"type": "input_text", "text": text}
            case Refusal(text=text):
                return {"type": "input_text", "text": text}
            case Media():
                written = self._media(part)
            case _:
                kind = type(part).__name__
                raise Unsupported(f"{kind} in a message of this role has no place on this wire", "messages")
        marked = part.cache is not None and self._profile.breakpoints
        return written | ({"prompt_cache_breakpoint": {"mode": "explicit"}} if marked else {})

    def _media(self, media: Media) -> Json:
        match media.kind:
            case "image":
                return self._image(media)
            case "document":
                return self._document(media)
            case kind:
                raise Unsupported(f"this wire takes no {kind}", "messages")

    def _image(self, media: Media) -> Json:
        written: Json = {"type": "input_image", "detail": media.detail or "auto"}
        if media.file_id is not None and self._profile.file_ids:
            return written | {"file_id": media.file_id}
        return written | {"image_url": _address(media)}

    def _document(self, media: Media) -> Json:
        """The text of a plain document goes as text: every model reads it, with no file to be taken apart."""
        text = data_url.plain_text(media.data) if media.data and media.mime.startswith("text/") else None
        if text is not None:
            return {"type": "input_text", "text": f"{media.name}:\n{text}" if media.name else text}
        if media.file_id is not None and self._profile.file_ids:
            return {"type": "input_file", "file_id": media.file_id}
        if media.url is not None:
            return {"type": "input_file", "file_url": media.url}
        name = media.name or _FILES.get(media.mime, "document")
        return {"type": "input_file", "filename": name, "file_data": _address(media)}


def _said(text: Sequence[str], phase: Json) -> Json:
    return {"role": "assistant", "content": "".join(text)} | ({"phase": phase["phase"]} if "phase" in phase else {})


def _call(call: ToolCall) -> Json:
    kept = call.extra.get(NAME, {})
    if kept.get("type") == "custom_tool_call":
        text = msgspec.json.decode(call.arguments).get(INPUT)
        return {"type": "custom_tool_call", "call_id": call.id, "name": call.name, "input": text}
    own = {name: kept[name] for name in ("namespace",) if name in kept}
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments, **own}


def _address(media: Media) -> str:
    if media.url is not None:
        return media.url
    if media.data is None:
        raise Unsupported(f"a stored {media.kind} cannot be read by another provider", "messages")
    return data_url.write(media.mime or f"{media.kind}/*", media.data)
