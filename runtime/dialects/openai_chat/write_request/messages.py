"""Writes messages of the contract as messages of OpenAI's chat wire.

Tool results become messages of their own, before the user's text; media they hold follow as the user's. Reasoning goes back
only where the server wants it; signatures and other wires' blocks never do.
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
    """Writes one conversation. dropped: receives the names of what was left out."""

    def __init__(self, profile: ChatProfile, dropped: list[str]) -> None:
        self._profile, self._dropped = profile, dropped

    def written(self, messages: Sequence[Message]) -> list[Json]:
        """A message of which nothing can be written is left out. Raises Unsupported."""
        out: list[Json] = []
        begun = False  # a message other than instructions has been written
        for message in messages:
            named: Json = {"name": message.name} if message.name else {}
            if message.role is Role.SYSTEM:
                role: str = self._profile.system
                if begun and not self._profile.late_system:
                    role = "user"
                    self._dropped.append("messages")
                out.append({"role": role, "content": self._content(message.parts, "\n\n")} | named)
                continue
            begun = True
            if message.role is Role.ASSISTANT:
                turn = self._assistant(message)
                if turn.keys() > {"role", "content"} or turn["content"] or not message.parts:
                    out.append(turn | named)
                continue
            results = [part for part in message.parts if isinstance(part, ToolResult)]
            own: list[Part] = [part for part in message.parts if not isinstance(part, ToolResult) and self._known(part)]
            media: list[Part] = [part for result in results for part in result.content if isinstance(part, Media)]
            out += [self._result(result) for result in results]
            if media or own or not message.parts:
                out.append({"role": "user", "content": self._content(media + own, "\n\n")} | named)
        return out

    def _known(self, part: Part) -> bool:
        """False, and a name among the dropped, for a part that only another wire knows."""
        if not isinstance(part, Opaque) or part.wire == WIRE:
            return True
        self._dropped.append("messages")
        return False

    def _result(self, result: ToolResult) -> Json:
        """The text of a result; a failure is marked in its JSON, because the wire has no member for it."""
        texts = [part for part in result.content if isinstance(part, Text)]
        content: Any = self._content(texts, "\n")
        if not texts and result.content:
            content = "The result is attached to the next message."
        if result.is_error:
            words = [part.text for part in texts]
            content = msgspec.json.encode({"error": words[0] if len(words) == 1 else words}).decode()
        written = {"role": "tool", "tool_call_id": result.call_id, "content": content}
        return written | cache_mark(result.cache, self._profile)

    def _assistant(self, message: Message) -> Json:
        profile = self._profile
        text = "".join(part.text for part in message.parts if isinstance(part, Text))
        refusal = "".join(part.text for part in message.parts if isinstance(part, Refusal))
        calls = [
            {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments}}
            | cache_mark(part.cache, profile)
            for part in message.parts
            if isinstance(part, ToolCall)
        ]
        if any(isinstance(part, Opaque | Media) for part in message.parts):
            self._dropped.append("messages")
        if refusal and not profile.refusals:
            text, refusal = text + refusal, ""
        written: Json = {"role": "assistant", "content": text or (None if calls or refusal else "")}
        if refusal:
            written["refusal"] = refusal
        if profile.echo is not None and (calls or profile.echo_turns == "all"):
            thought = "".join(part.text for part in message.parts if isinstance(part, Reasoning))
            written |= {profile.echo: thought} if thought else {}
        if calls:
            written["tool_calls"] = calls
        return written

    def _content(self, parts: Sequence[Part], joint: str) -> Any:
        """A string if the parts are one text, or if the server takes no list of texts."""
        texts = [part for part in parts if isinstance(part, Text)]
        # A text with members of its own would lose them in a plain string.
        bare = not any(text.extra.get(WIRE) or (text.cache is not None and self._profile.marks) for text in texts)
        if len(texts) == len(parts) and bare and (len(texts) <= 1 or not self._profile.text_parts):
            return joint.join(text.text for text in texts)
        return [self._part(part) for part in parts]

    def _part(self, part: Part) -> Json:
        match part:
            case Text():
                written = {"type": "text", "text": part.text}
            case Media():
                written = media_part(part, self._profile)
            case Opaque(wire=wire, value=value) if wire == WIRE:
                return dict(value)
            case _:
                raise Unsupported(
                    f"{type(part).__name__} in a message of this role has no place on this wire", "messages"
                )
        own = dict(part.extra.get(WIRE, {}))  # its own cache breakpoint says the same as `cache`
        return written | own | ({} if "prompt_cache_breakpoint" in own else cache_mark(part.cache, self._profile))


def media_part(media: Media, profile: ChatProfile) -> Json:
    """A part of media. The text of a plain document goes to any server. Raises Unsupported."""
    match media.kind:
        case "image":
            inner = {"url": _url(media)} | ({"detail": media.detail} if media.detail else {})
            return {"type": "image_url", "image_url": inner}
        case "audio":
            form = data_url.sound_format(media.mime)
            if media.data is None or (profile.sounds and form not in profile.sounds):
                kind = media.mime or "by reference"
                raise Unsupported(f"the model takes no audio of this kind ({kind})", "messages")
            return {"type": "input_audio", "input_audio": {"data": media.data, "format": form}}
        case "video" if profile.videos:
            return {"type": "video_url", "video_url": {"url": _url(media)}}
        case "document":
            text = data_url.plain_text(media.data) if media.data and media.mime.startswith("text/") else None
            if text is not None:
                return {"type": "text", "text": f"{media.name}:\n{text}" if media.name else text}
            if media.file_id is not None and profile.file_ids:
                return {"type": "file", "file": {"file_id": media.file_id}}
            data = data_url.write(media.mime, media.data) if media.data is not None and profile.files else None
            data = media.url if media.url is not None and profile.file_urls else data
            if data is None:
                kind = media.mime or "by reference"
                raise Unsupported(f"the model takes no document of this kind ({kind})", "messages")
            return {"type": "file", "file": {"filename": media.name or "document", "file_data": data}}
        case kind:
            raise Unsupported(f"the model takes no {kind}", "messages")


def _url(media: Media) -> str:
    if media.url is not None:
        return media.url
    if media.data is None:
        raise Unsupported(f"a stored {media.kind} cannot be read by another provider", "messages")
    return data_url.write(media.mime or f"{media.kind}/*", media.data)
