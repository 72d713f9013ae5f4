"""The SDK of a wire with keys that have limits: its class for a refusal, the headers it reads, and how long it waits.

python limits.py {openai | anthropic} URL LIMITED_KEY SPENT_KEY
"""

import json
import sys
import time

wire, url, limited, spent = sys.argv[1:]
if wire == "openai":
    import openai as sdk

    def ask(key, retries):
        client = sdk.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=retries)
        return client.chat.completions.with_raw_response.create(model=model, messages=said, max_tokens=9)
else:
    import anthropic as sdk

    def ask(key, retries):
        client = sdk.Anthropic(base_url=url, api_key=key, max_retries=retries)
        return client.messages.with_raw_response.create(model=model, messages=said, max_tokens=9)


said = [{"role": "user", "content": "Are you there?"}]
slept = []
time.sleep = slept.append


def refused(key, retries):
    slept.clear()
    try:
        ask(key, retries)
    except sdk.APIStatusError as error:
        headers = {name: value for name, value in error.response.headers.items() if "ratelimit" in name}
        wait = error.response.headers.get("retry-after")
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "headers": headers,
            "wait": wait,
            "slept": list(slept),
        }
    return {}


model = "local"
good = dict(ask(limited, 0).headers)
found = {"good": {name: value for name, value in good.items() if "ratelimit" in name}}
found["limited"] = refused(limited, 1)
model = "cloud"
found["spent"] = refused(spent, 3)
print(json.dumps(found))
