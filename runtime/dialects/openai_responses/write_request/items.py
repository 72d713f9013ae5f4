"""Messages of the contract as input items of the responses wire.

Reasoning goes back only to the model that encrypted it: an item of this wire as it was, a signature of this wire as the item it
came from. Reasoning in words goes to servers that take it back.
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
from runtime.dialects.custom_tools import INPUT
from runtime.dialects.openai_responses.profile import ResponsesProfile
from runtime.dialects.openai_responses.signatures import read_native
from runtime.dialects.openai_responses.words import NAME
from runtime.wire import data_url

Json = dict[str, Any]

_FILES = {"application/pdf": "document.pdf", "text/plain": "document.txt", "text/markdown": "document.md"}
_REASONING = ("id", "summary", "content", "encrypted_content")


class Items:
    """Writes one conversation. dropped: receives the names of what had to go."""

    def __init__(self, profile: ResponsesProfile, dropped: list[str]) -> None:
        self._profile, self._dropped = profile, dropped
        self._kinds: dict[str, str] = {}  # of the calls so far, by id: an output has the kind of its call

    def written(self, messages: Sequence[Message]) -> list[Json]:
        """Raises Unsupported."""
        found: list[Json] = []
        for message in messages:
            if message.name:
                self._dropped.append("name")
            if message.role is Role.ASSISTANT:
                found += self._assistant_items(message)
                continue
            # Results of tools come before the text that the user adds to them.
            found += [self._result(part) for part in message.parts if isinstance(part, ToolResult)]
            rest = [part for part in message.parts if not isinstance(part, ToolResult | Opaque)]
            if any(isinstance(part, Opaque) for part in message.parts):
                self._dropped.append("messages")
            if rest or message.role is Role.SYSTEM:
                role = self._profile.system if message.role is Role.SYSTEM else "user"
                content: Any = [self._part(part) for part in rest]
                if len(rest) == 1 and isinstance(rest[0], Text) and rest[0].cache is None:
                    content = rest[0].text
                found.append({"role": role, "content": content})
        return found

    def _assistant_items(self, message: Message) -> Iterator[Json]:
        """Text that nothing interrupts is one message. Reasoning that led to nothing is dropped: it is refused alone."""
        texts: list[str] = []
        phase: Json = {}
        led = len(message.parts)
        while led and isinstance(message.parts[led - 1], Reasoning) and not self._profile.plain_thinking:
            led -= 1
        if led < len(message.parts):
            self._dropped.append("messages")
        for part in (*message.parts[:led], None):
            if isinstance(part, Text | Refusal):
                texts.append(part.text)
                own = part.extra.get(NAME, {}) if isinstance(part, Text) else phase
                phase = {"phase": own["phase"]} if "phase" in own else {}
                continue
            if texts:
                yield {"role": "assistant", "content": "".join(texts), **phase}
                texts, phase = [], {}
            match part:
                case ToolCall() if part.extra.get(NAME, {}).get("type") == "custom_tool_call":
                    text = msgspec.json.decode(part.arguments).get(INPUT)
                    self._kinds[part.id] = "custom_tool_call"
                    yield {"type": "custom_tool_call", "call_id": part.id, "name": part.name, "input": text}
                case ToolCall():
                    self._kinds[part.id] = "function_call"
                    yield {
                        "type": "function_call",
                        "call_id": part.id,
                        "name": part.name,
                        "arguments": part.arguments,
                    }
                case Reasoning():
                    yield from self._reasoning(part)
                case Opaque(wire=wire, value=value) if wire == NAME and isinstance(value, dict):
                    yield value
                case Media(kind="image", data=str(data)):
                    yield {"type": "image_generation_call", "status": "completed", "result": data}
                case None:  # the end
                    pass
                case _:
                    self._dropped.append("messages")

    def _reasoning(self, part: Reasoning) -> Iterator[Json]:
        own, item = read_native(part.signature), part.extra.get(NAME, {})
        if own is not None:
            summary = [{"type": "summary_text", "text": part.text}] if part.text else []
            encrypted: Json = {"type": "reasoning", "summary": summary, "encrypted_content": own.content}
            yield encrypted | ({"id": own.id} if own.id else {})
        elif item.get("encrypted_content"):
            yield {"type": "reasoning", **{name: item[name] for name in _REASONING if item.get(name) is not None}}
        elif self._profile.plain_thinking and part.text:
            content = [{"type": "reasoning_text", "text": part.text}]
            yield {"type": "reasoning", "summary": [], "content": content}

    def _result(self, result: ToolResult) -> Json:
        """A failed call says so in its text, because the wire has no member for it."""
        texts = [part.text for part in result.content if isinstance(part, Text)]
        output: Any = "\n".join(texts)
        if len(texts) < len(result.content):
            output = [self._part(part) for part in result.content]
        elif result.is_error:
            output = msgspec.json.encode({"error": output}).decode()
        kind = self._kinds.get(result.call_id, "function_call")
        return {"type": f"{kind}_output", "call_id": result.call_id, "output": output}

    def _part(self, part: Part) -> Json:
        match part:
            case Text(text=text):
                written: Json = {"type": "input_text", "text": text}
            case Refusal(text=text):
                return {"type": "input_text", "text": text}
            case Media(kind="image"):
                written = {"type": "input_image", "detail": part.detail or "auto"}
                stored = part.file_id is not None and self._profile.file_ids
                written |= {"file_id": part.file_id} if stored else {"image_url": _url(part)}
            case Media(kind="document"):
                written = self._document(part)
            case Media():
                raise Unsupported(f"this wire takes no {part.kind}", "messages")
            case _:
                name = type(part).__name__
                raise Unsupported(f"{name} in a message of this role has no place on this wire", "messages")
        marked = part.cache is not None and self._profile.breakpoints
        return written | ({"prompt_cache_breakpoint": {"mode": "explicit"}} if marked else {})

    def _document(self, media: Media) -> Json:
        """A plain document goes as text, which every model reads without taking a file apart."""
        text = data_url.plain_text(media.data) if media.data and media.mime.startswith("text/") else None
        if text is not None:
            return {"type": "input_text", "text": f"{media.name}:\n{text}" if media.name else text}
        if media.file_id is not None and self._profile.file_ids:
            return {"type": "input_file", "file_id": media.file_id}
        if media.url is not None:
            return {"type": "input_file", "file_url": media.url}
        name = media.name or _FILES.get(media.mime, "document")
        return {"type": "input_file", "filename": name, "file_data": _url(media)}


def _url(media: Media) -> str:
    """The address, or the content as a data URL. Raises Unsupported for a file that another provider stores."""
    if media.url is not None:
        return media.url
    if media.data is None:
        raise Unsupported(f"a stored {media.kind} cannot be read by another provider", "messages")
    return data_url.write(media.mime or f"{media.kind}/*", media.data)
