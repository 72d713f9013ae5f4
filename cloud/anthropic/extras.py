"""Members of a body that only this wire has, and the betas they need. Clients of other dialects may use them by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from cloud.anthropic.names import WIRE
from cloud.losses import Losses
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Extra, Request
from runtime.dialects.openai_chat.read_request.tools import WIRE as CHAT

_OURS = frozenset(
    {
        "cache_control",
        "container",
        "context_management",
        "diagnostics",
        "fallbacks",
        "inference_geo",
        "mcp_servers",
        "output_config",
        "speed",
        "thinking",
        "user_profile_id",
    }
)
_BETAS = frozenset({"betas", "anthropic_beta"})
# Read elsewhere, or without meaning for a model.
_MEANINGLESS = frozenset(
    {
        "stream_options",
        "tools",
        "functions",
        "function_call",
        "continue_final_message",
        "enable_thinking",
        "thinking_budget",
    }
)
_READ_OF_CHAT = frozenset({"thinking"})  # members of this wire that chat's reader has read
_SEARCH = "web_search_options"  # the member of OpenAI's chat that asks for a search
_SEARCH_TOOL = {"type": "web_search_20250305", "name": "web_search"}
_BETA_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_SERVER_TOOL = re.compile(r"[a-z_]+_\d{8}|mcp_toolset")
_BETA_OF_MEMBER = {
    "mcp_servers": "mcp-client-2025-11-20",
    "context_management": "context-management-2025-06-27",
    "fallbacks": "server-side-fallback-2026-07-01",
    "user_profile_id": "user-profiles-2026-09-04",
}
_BETA_OF_TOOL = {
    "advisor": "advisor-tool-2026-03-01",
    "computer_20250124": "computer-use-2025-01-24",
    "computer_20251124": "computer-use-2025-11-24",
    "mcp_toolset": "mcp-client-2025-11-20",
}
_COMPACTION, _COMPACTION_BETA = "compact_", "compact-2026-01-12"


def members(request: Request, losses: Losses) -> dict[str, Any]:
    """The client's members that this wire has. Those of its own dialect alone are dropped and named. Raises Unsupported."""
    out: dict[str, Any] = {}
    for wire, given in request.extra.items():
        for name, value in given.items() if isinstance(given, Mapping) else ():
            if wire == CHAT and name in _READ_OF_CHAT:
                continue
            if name in _OURS or (wire == WIRE and name not in _MEANINGLESS | _BETAS):
                out[name] = value
            elif name == "audio" or (name == "modalities" and value != ["text"]):
                raise Unsupported("this model answers in text alone", name)
            elif name == _SEARCH and isinstance(value, Mapping):
                losses.add_if(bool(value.keys() - {"user_location"}), name)
            elif name not in _MEANINGLESS | _BETAS and value not in (None, False):
                losses.add(name)
    return out


def own(extra: Extra, names: Collection[str]) -> dict[str, Any]:
    """The named members of this wire among those that a client gave with a tool or a part."""
    given = (each for each in extra.values() if isinstance(each, Mapping))
    return {name: value for each in given for name, value in each.items() if name in names}


def tools(request: Request) -> list[dict[str, Any]]:
    """The tools that run at the vendor. Those of other vendors are left out."""
    found = [tool for tool in _listed(request) if _known(tool)]
    # OpenAI's search is the vendor's own, near the place that the client gives for its user.
    for given in request.extra.values():
        options = given.get(_SEARCH) if isinstance(given, Mapping) else None
        if isinstance(options, Mapping):
            place = options.get("user_location")
            near = place.get("approximate") if isinstance(place, Mapping) else None
            where = {"user_location": {"type": "approximate", **near}} if isinstance(near, Mapping) else {}
            found.append(_SEARCH_TOOL | where)
    return found


def check_tools(request: Request, losses: Losses) -> None:
    """Names `tools` if another vendor's are left out. Raises Unsupported where the model must call one of them."""
    foreign = [tool for tool in _listed(request) if not _known(tool)]
    if foreign and request.demands_vendor_tool and not tools(request):
        kind = foreign[0].get("type") if isinstance(foreign[0], dict) else None
        raise Unsupported(f"a tool of type {kind!r} is not this vendor's", "tools")
    losses.add_if(bool(foreign), "tools")


def _listed(request: Request) -> list[Any]:
    lists = [each.get("tools") for each in request.extra.values() if isinstance(each, Mapping)]
    return [tool for listed in lists if isinstance(listed, list | tuple) for tool in listed]


def _known(tool: Any) -> bool:
    kind = tool.get("type") if isinstance(tool, dict) else None
    return isinstance(kind, str) and _SERVER_TOOL.fullmatch(kind) is not None


def runs_there(body: Mapping[str, Any]) -> bool:
    """True if the model may use a tool that runs at the vendor."""
    return bool(body.get("mcp_servers")) or any("input_schema" not in tool for tool in body.get("tools") or ())


def betas(request: Request, body: Mapping[str, Any], losses: Losses, most_asked: int = 32) -> str:
    """The `anthropic-beta` header's value; "" for none. most_asked: names that a client may add to those the body needs."""
    asked: list[str] = []
    for given in request.extra.values():
        for name in _BETAS & set(given) if isinstance(given, Mapping) else ():
            value = given[name]
            listed = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else ()
            names = [str(beta).strip() for beta in listed if beta]
            fit = [beta for beta in names if _BETA_NAME.fullmatch(beta)]
            losses.add_if(len(fit) < len(names) or len(asked) + len(fit) > most_asked, name)
            asked += fit
    return ",".join(dict.fromkeys([*asked[:most_asked], *_needed(body)]))


def _needed(body: Mapping[str, Any]) -> Iterator[str]:
    """The betas of the members, tools and blocks that a body holds. The client's own members may be of any type."""

    def member(name: str) -> Mapping[str, Any]:
        value = body.get(name)
        return value if isinstance(value, dict) else {}

    yield from (beta for name, beta in _BETA_OF_MEMBER.items() if body.get(name))
    if "skills" in member("container"):
        yield "skills-2025-10-02"
    if "task_budget" in member("output_config"):
        yield "task-budgets-2026-03-13"
    if "block_binding" in member("thinking"):
        yield "thinking-binding-controls-2026-08-01"
    if body.get("speed") == "fast":
        yield "fast-mode-2026-02-01"
    edits = member("context_management").get("edits")
    kinds_of_edits = (
        [str(edit.get("type")) for edit in edits if isinstance(edit, dict)] if isinstance(edits, list) else []
    )
    if any(kind.startswith(_COMPACTION) for kind in kinds_of_edits):
        yield _COMPACTION_BETA
    for tool in body.get("tools") or ():
        kind = str(tool.get("type"))
        yield from (beta for start, beta in _BETA_OF_TOOL.items() if kind.startswith(start))
    kinds = {block.get("type") for turn in body["messages"] for block in turn["content"]}
    if any(str(kind).startswith("mcp_") for kind in kinds):
        yield _BETA_OF_MEMBER["mcp_servers"]
    if "compaction" in kinds:
        yield _COMPACTION_BETA
