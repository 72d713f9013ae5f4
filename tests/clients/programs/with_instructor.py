"""instructor: typed answers in its tool and schema modes, whole and streamed, and its retry of a bad one."""

from __future__ import annotations

import instructor
import openai
from cases import KEY, MODEL, PARIS, URL, City, asked, report
from instructor.core import InstructorRetryException

plain = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=30)
by_tool = instructor.from_openai(plain, mode=instructor.Mode.TOOLS)
by_schema = instructor.from_openai(plain, mode=instructor.Mode.JSON_SCHEMA)


def user(case: str, text: str) -> list[dict]:
    return [{"role": "user", "content": asked(case, text)}]


def structured() -> object:
    said, raw = by_tool.chat.completions.create_with_completion(
        model=MODEL, messages=user("structured", PARIS), response_model=City
    )
    usage = raw.usage
    tokens = [usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens]
    return {"city": said.model_dump(), "usage": tokens}


def schema() -> object:
    said = by_schema.chat.completions.create(model=MODEL, messages=user("schema", PARIS), response_model=City)
    return said.model_dump()


def retried() -> object:
    """The first answer does not fit, and the client asks again with what is wrong."""
    said = by_tool.chat.completions.create(
        model=MODEL, messages=user("retried", "badly at first. Which city?"), response_model=City, max_retries=2
    )
    return said.model_dump()


def streamed() -> object:
    """The last of the partial answers, and whether there were several."""
    partials = list(
        by_tool.chat.completions.create_partial(model=MODEL, messages=user("streamed", PARIS), response_model=City)
    )
    return [partials[-1].model_dump(), len(partials) > 1]


def wrong_key() -> object:
    return caught(instructor.from_openai(plain.with_options(api_key="wrong")), MODEL)


def unknown_model() -> object:
    return caught(by_tool, "no-such-model")


def caught(asking: instructor.Instructor, name: str) -> object:
    try:
        asking.chat.completions.create(model=name, messages=user("caught", PARIS), response_model=City, max_retries=0)
    except InstructorRetryException as error:
        cause = error.__cause__
        while cause is not None and not isinstance(cause, openai.APIStatusError):
            cause = cause.__cause__ or cause.__context__
        return [type(cause).__name__, cause.status_code]
    return None


report(structured, schema, retried, streamed, wrong_key, unknown_model)
