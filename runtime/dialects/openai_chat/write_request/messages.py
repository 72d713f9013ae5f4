"""Messages of the contract as messages of OpenAI's chat wire.

Tool results become messages of their own, before what the user says with them; what they hold besides text follows as the
user's. A model's thinking goes back only where the server wants it, signatures and other wires' blocks never.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from runtime.dialects.openai_chat.profile import ChatProfile, cache_mark
from runtime.dialects.openai_chat.read_request.tools import WIRE
from runtime.wire import data_url

Json = dict[str, Any]


class Messages:
    """Writes one conversation. dropped: takes the names of what had to go."""

    def __init__(self, profile: ChatProfile, dropped: list[str]) -> None:
        self._profile, self._dropped = profile, dropped
        self._begun = False  # a message other than instructions has been written

    def written(self, messages: Sequence[Message]) -> list[Json]:
        """Raises Unsupported."""
        out: list[Json] = []
        for message in messages:
            match message.role:
                case Role.SYSTEM:
                    out.append(self._named(self._system(message), message))
                case Role.USER:
                    out += self._user(message)
                case Role.ASSISTANT:
                    out.append(self._named(self._assistant(message), message))
        return out

    def _named(self, written: Json, message: Message) -> Json:
        return written | {"name": message.name} if message.name else written

    def _system(self, message: Message) -> Json:
        role: str = self._profile.system
        if self._begun and not self._profile.late_system:
            role = "user"
            self._dropped.append("messages")
        return {"role": role, "content": self._content(message.parts, "\n\n")}

    def _user(self, message: Message) -> list[Json]:
        self._begun = True
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        said: list[Part] = [part for part in message.parts if not isinstance(part, ToolResult)]
        out = [self._result(result) for result in results]
        shown: list[Part] = [part for result in results for part in result.content if isinstance(part, Media)]
        if shown or said or not results:
            out.append(self._named({"role": "user", "content": self._content(shown + said, "\n\n")}, message))
        return out

    def _result(self, result: ToolResult) -> Json:
        """The text of a result; a failure says so in its JSON, for the wire has no member for it."""
        texts = [part for part in result.content if isinstance(part, Text)]
        content: Any = self._content(texts, "\n")
        if not texts and result.content:
            content = "The result is attached to the next message."
        if result.is_error:
            told = [part.text for part in texts]
            content = msgspec.json.encode({"error": told[0] if len(told) == 1 else told}).decode()
        written = {"role": "tool", "tool_call_id": result.call_id, "content": content}
        return written | cache_mark(result.cache, self._profile)

    def _assistant(self, message: Message) -> Json:
        self._begun = True
        text = "".join(part.text for part in message.parts if isinstance(part, Text))
        refusal = "".join(part.text for part in message.parts if isinstance(part, Refusal))
        calls = [_call(part, self._profile) for part in message.parts if isinstance(part, ToolCall)]
        if any(isinstance(part, Opaque | Media) for part in message.parts):
            self._dropped.append("messages")
        if refusal and not self._profile.refusals:
            text, refusal = text + refusal, ""
        written: Json = {"role": "assistant", "content": text or (None if calls or refusal else "")}
        if refusal:
            written["refusal"] = refusal
        thought = self._thought(message, bool(calls))
        if thought and self._profile.echo:
            written[self._profile.echo] = thought
        if calls:
            written["tool_calls"] = calls
        return written

    def _thought(self, message: Message, called: bool) -> str:
        if self._profile.echo is None or not (called or self._profile.echo_turns == "all"):
            return ""
        return "".join(part.text for part in message.parts if isinstance(part, Reasoning))

    def _content(self, parts: Sequence[Part], joint: str) -> Any:
        """A string where the parts are one text, or where the server takes no list of texts."""
        texts = [part for part in parts if isinstance(part, Text)]
        plain = len(texts) == len(parts) and not any(_bears(text, self._profile) for text in texts)
        if plain and (len(texts) <= 1 or not self._profile.text_parts):
            return joint.join(text.text for text in texts)
        return [self._part(part) for part in parts]

    def _part(self, part: Part) -> Json:
        match part:
            case Text():
                written = {"type": "text", "text": part.text}
            case Media():
                written = self._media(part)
            case Opaque(wire=wire, value=value) if wire == WIRE:
                return dict(value)
            case _:
                raise Unsupported(
                    f"{type(part).__name__} in a message of this role has no place on this wire", "messages"
                )
        own = dict(part.extra.get(WIRE, {}))  # a mark of the wire's own among them says what `cache` says
        return written | own | ({} if "prompt_cache_breakpoint" in own else cache_mark(part.cache, self._profile))

    def _media(self, media: Media) -> Json:
        match media.kind:
            case "image":
                inner = {"url": _url(media)} | ({"detail": media.detail} if media.detail else {})
                return {"type": "image_url", "image_url": inner}
            case "audio":
                return self._sound(media)
            case "video" if self._profile.videos:
                return {"type": "video_url", "video_url": {"url": _url(media)}}
            case "document":
                return self._document(media)
            case kind:
                raise Unsupported(f"the model takes no {kind}", "messages")

    def _sound(self, media: Media) -> Json:
        form = data_url.sound_format(media.mime)
        if media.data is None or (self._profile.sounds and form not in self._profile.sounds):
            raise Unsupported(f"the model takes no audio of this kind ({media.mime or 'by reference'})", "messages")
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": form}}

    def _document(self, media: Media) -> Json:
        """A document goes as a file where files are known; the text of a plain one goes anywhere."""
        text = data_url.plain_text(media.data) if media.data and media.mime.startswith("text/") else None
        if text is not None:
            return {"type": "text", "text": f"{media.name}:\n{text}" if media.name else text}
        if media.file_id is not None and self._profile.file_ids:
            return {"type": "file", "file": {"file_id": media.file_id}}
        data = data_url.write(media.mime, media.data) if media.data is not None and self._profile.files else None
        data = media.url if media.url is not None and self._profile.file_urls else data
        if data is None:
            raise Unsupported(f"the model takes no document of this kind ({media.mime or 'by reference'})", "messages")
        return {"type": "file", "file": {"filename": media.name or "document", "file_data": data}}


def _call(call: ToolCall, profile: ChatProfile) -> Json:
    written = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
    return written | cache_mark(call.cache, profile)


def _url(media: Media) -> str:
    if media.url is not None:
        return media.url
    if media.data is None:
        raise Unsupported(f"a stored {media.kind} cannot be read by another provider", "messages")
    return data_url.write(media.mime or f"{media.kind}/*", media.data)


def _bears(text: Text, profile: ChatProfile) -> bool:
    """Whether the text has members that a plain string would lose."""
    return bool(text.extra.get(WIRE)) or (text.cache is not None and profile.marks)
