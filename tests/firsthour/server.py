"""A server of flashlm, asked by OpenAI's client: server.py URL GENERATED.json"""

import json
import sys

import openai

url, generated = sys.argv[1:]
with open(generated, encoding="utf-8") as file:
    told = json.load(file)

client = openai.OpenAI(base_url=f"{url}/v1", api_key="secret", max_retries=0)
assert [model.id for model in client.models.list()] == ["flashlm"]

asked = dict(model="flashlm", prompt="Once upon a time", max_tokens=40, seed=7, temperature=0.7, top_p=0.95)
answer = client.completions.create(**asked)
print(answer.choices[0].text)
assert answer.choices[0].text == told["text"], (answer, told)
assert answer.choices[0].finish_reason in ("stop", "length")
assert answer.usage.total_tokens == told["prompt_tokens"] + told["tokens"]
assert answer.system_fingerprint.startswith("fp_")

parts = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
text = "".join(choice.text for part in parts for choice in part.choices)
assert text == told["text"], (text, told)
assert parts[-1].usage.completion_tokens == told["tokens"]
print(f"{len(parts)} parts of a stream")

several = client.completions.create(
    model="flashlm", prompt=["The cat", "A dog"], n=2, max_tokens=9, seed=1, stop=["."], extra_body={"depth": "auto"}
)
assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
scored = client.completions.create(model="flashlm", prompt="The cat sat.", max_tokens=0, echo=True, logprobs=1)
assert all(logprob < 0 for logprob in scored.choices[0].logprobs.token_logprobs)


def refused(error, **changes):
    try:
        client.completions.create(**(asked | changes))
    except error as refusal:
        print(f"{error.__name__}: {refusal.body['message']}")
    else:
        sys.exit(f"expected {error.__name__} for {changes}")


refused(openai.BadRequestError, temperature=99)
refused(openai.BadRequestError, frequency_penalty=1)
refused(openai.NotFoundError, model="gpt-4")
client = openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0)
refused(openai.AuthenticationError)
