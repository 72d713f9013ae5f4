"""Subjects of refusals, read from their words: for servers whose status and code do not say what was refused.

Pure. Codecs ask here after their own codes and types, and decide themselves what follows from a subject. The patterns are the
sentences that servers really send; a sentence that no pattern knows has no subject.
"""

from __future__ import annotations

import re
from enum import StrEnum

_READ = 4000  # characters of a message that are searched


class Subject(StrEnum):
    FILTER = "filter"  # the content, refused by a filter
    OVERFLOW = "overflow"  # the prompt, or the prompt and the answer asked for, against the model's window
    PARAMETER = "parameter"  # a parameter or an ability that this model or server has not
    FULL = "full"  # the server's queue: it is alive, and has no room
    ACCOUNT = "account"  # the key, the quota or the account of the settings
    MODEL = "model"  # the model itself: unknown, retired, not loaded
    EMPTY = "empty"  # a balancer's engines: it has none that could be asked


_FILTER = (
    r"content exists risk",  # DeepSeek, 400
    r"input was flagged",  # OpenRouter, 403
    r"flagged as (potentially )?violating",  # OpenAI, 400 invalid_prompt
    r"content management policy|responsible ?ai ?policy",  # Azure, 400
    r"blocked by content filtering",  # Anthropic, 400
    r"(contain|potentially) (inappropriate|sensitive|unsafe) content",  # Alibaba, Zhipu
    r"rejected (as a result of|by) (our|the) safety system",  # OpenAI
)
_OVERFLOW = (
    # vLLM, every version; OpenAI, DeepSeek, Mistral: "This model's maximum context length is 2048 tokens. However, …"
    r"maximum (context|model|prompt|sequence) length|max_model_len",
    r"max_tokens must be at least 1, got -\d",  # vLLM before 0.6: what was left of the window is negative
    # SGLang: "The input (61709 tokens) is longer than the model's context length (40960 tokens)."
    r"longer than the model'?s? ?(maximum |max )?context",
    # SGLang: "Input length (5000 tokens) exceeds the maximum allowed length (4090 tokens)"
    r"exceeds the maximum allowed length",
    # TGI: "`inputs` tokens + `max_new_tokens` must be <= 2048. Given: …", "`inputs` must have less than 1024 tokens"
    r"`inputs` (tokens \+ `max_new_tokens` must be <=|must have less than)|`max_new_tokens` must be <=",
    # llama.cpp: "the request exceeds the available context size"; its Python server: "Requested tokens exceed context window"
    r"exceed\w{0,3}.{0,60}\bcontext (window|size|length|limit)",
    # LM Studio: "Context size has been exceeded", "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)", "Trying to keep
    # the first 15857 tokens when context the overflows", "… tokens to keep … is greater than the context length"
    r"context (window|size|length|limit).{0,40}(exceed|overflow|is not enough)",
    r"when context the overflows|n_keep.{0,24}n_ctx|greater than the context length|reached context length",
    r"(prompt|input|request|conversation) (is )?too long",  # Anthropic, Bedrock, Fireworks, Ollama
    r"too many (input )?tokens|token limit:? \d|exceeds max length|range of input length",  # Cohere, Moonshot, Zhipu, Alibaba
    r"reduce the length of (the|your) (messages|prompt|input)",  # Groq, OpenAI
)
_PARAMETER = (
    r"\bnot (yet |currently )?supported\b|(does not|doesn't|do not|don't|cannot|can't) support|unsupported",
    # vLLM without a tool parser ("\"auto\" tool choice requires --enable-auto-tool-choice"), llama.cpp ("tools param requires
    # --jinja flag"): an ability that its owner has not switched on
    r"requires? (the )?--[a-z]",
    # Chat templates: vLLM ("default chat template is no longer allowed"), TGI ("Template error: template not found")
    r"chat template is (no longer allowed|not)|provide a chat template|template (error|not found)",
    # Media: vLLM ("is not a multimodal model", "At most 0 image(s) may be provided"), Ollama ("is missing data required for
    # image input"), llama.cpp ("you may need to provide the mmproj")
    r"not a multimodal model|at most \d+ \w+(\(s\))? may be provided|missing data required for|\bmmproj\b",
    # Schemas: vLLM's and SGLang's grammar backends, llama.cpp ("Failed to parse grammar")
    r"grammar error|unimplemented keys|failed to (parse|initialize|compile) (the )?(grammar|samplers)",
    r"greater than (the )?max(imum)? allowed",  # vLLM: log probabilities beyond --max-logprobs
    r"unrecogni[sz]ed|unknown (name|field|parameter|argument|variant|key)|unexpected (field|keyword|parameter)",
    r"extra (inputs|fields)|(is|are) (not permitted|not allowed with this model|deprecated for this model)",
    r"maximum allowed number of output tokens|max_(completion_|output_)?tokens.{0,40}(is )?too large",
    r"no endpoints found that (support|can handle)",  # OpenRouter, 404
)
_FULL = (
    r"queue is full|server (is )?(busy|at capacity)|maximum pending requests|model is overloaded",  # SGLang, Ollama, TGI
    r"engine is currently busy",  # vLLM
    r"dropped due to backpressure|(workers|replicas|engines) are (currently )?(busy|full|overloaded)",  # Ray Serve, Dynamo
)
_ACCOUNT = (
    r"insufficient (account )?(balance|credits?|quota|funds)|requires more credits|out of credits|credit balance",
    r"exceeded your current quota|(billing|spend(ing)?|usage) (hard )?limit|billing (is )?not active|overdue|in arrears",
    r"(account|organi[sz]ation|workspace|project).{0,60}(suspended|disabled|restricted|deactivated|must be verified)",
    r"(invalid|incorrect|missing|expired|no) api[ _-]key|api[ _-]key.{0,20}(invalid|expired|not valid|disabled)",
    r"requires terms acceptance|not available in your (country|region)|data policy",
)
_MODEL = (
    r"\bmodel\b.{0,160}(does not exist|not exist|not found|decommissioned|no longer (available|supported)|retired)",
    r"\bmodel\b.{0,160}(been (deprecated|removed|shut ?down)|not (currently )?(available|loaded|deployed|served|ready))",
    # LM Studio: "Failed to load model …", Ollama: "model requires more system memory (5.6 GiB) than is available"
    r"failed to load (the )?model|insufficient system resources|requires more system memory",
    # llama-swap: "could not find real modelID", LocalAI: "could not load model"
    r"could not (load|find) (a |the |real )?(suitable )?model",
    r"no models? (is |are )?(currently )?(loaded|available)|(no such|unknown|invalid|non-serverless) model|no endpoints found",
)
_BEHIND = r"(workers?|upstreams?|endpoints?|servers?|backends?|replicas?|pods?|instances?)"
_EMPTY = (
    # vllm-router, sglang-router, smg: "No available workers (all circuits open or unhealthy)", "No workers are currently
    # available", "No worker available for model"; smg 1.13: "no_available_workers", "All workers are unavailable"; Envoy: "no
    # healthy upstream"; HAProxy: "No server is available to handle …"
    rf"\bno[ _](available|healthy|ready|live|running)[ _]{_BEHIND}\b",
    rf"\bno {_BEHIND} ((is|are) )?(currently )?(available|ready)\b",
    rf"\ball {_BEHIND} are (unavailable|unhealthy|down)\b",
    r"upstream connect error|connect(ion)? (error|failure).{0,40}upstream",  # Envoy
)
_SUBJECTS = tuple(
    (subject, re.compile("|".join(patterns), re.IGNORECASE | re.DOTALL))
    for subject, patterns in (
        (Subject.FILTER, _FILTER),
        (Subject.OVERFLOW, _OVERFLOW),
        (Subject.FULL, _FULL),
        (Subject.ACCOUNT, _ACCOUNT),
        (Subject.PARAMETER, _PARAMETER),
        (Subject.MODEL, _MODEL),
        (Subject.EMPTY, _EMPTY),
    )
)


def subject_of(words: str, read: int = _READ) -> Subject | None:
    """The subject of a refusal; None if its words name none. read: characters that are searched."""
    head = words[:read]
    return next((subject for subject, pattern in _SUBJECTS if pattern.search(head)), None)
