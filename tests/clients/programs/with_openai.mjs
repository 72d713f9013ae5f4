// openai-node: chat completions whole and streamed, its tool runner, schemas, models, errors.

import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { BOTH, City, KEY, MODEL, PARIS, URL, Where, asked, getWeather, report } from "./cases.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY, maxRetries: 0, timeout: 30_000 });
const weather = zodFunction({ name: "get_weather", parameters: Where, function: getWeather });

const user = (name, text) => [{ role: "user", content: asked(name, text) }];
const tokens = (usage) => [usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens];

async function whole() {
  const said = await client.chat.completions.create({ model: MODEL, messages: user("whole", PARIS) });
  const [choice] = said.choices;
  return { text: choice.message.content, finish: choice.finish_reason, usage: tokens(said.usage) };
}

async function stream() {
  const pieces = [];
  let finish, usage;
  const streamed = await client.chat.completions.create({
    model: MODEL,
    messages: user("stream", PARIS),
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of streamed) {
    const [choice] = chunk.choices;
    if (choice?.delta.content) pieces.push(choice.delta.content);
    finish = choice?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  return { text: pieces.join(""), pieces: pieces.length, finish, usage: tokens(usage) };
}

/** The client's own tool loop. */
async function tools() {
  const runner = client.chat.completions.runTools({ model: MODEL, messages: user("tools", BOTH), tools: [weather] });
  return runner.finalContent();
}

async function tools_streamed() {
  const runner = client.chat.completions.runTools({
    model: MODEL,
    messages: user("tools_streamed", BOTH),
    tools: [weather],
    stream: true,
  });
  return runner.finalContent();
}

async function structured() {
  const said = await client.chat.completions.parse({
    model: MODEL,
    messages: user("structured", PARIS),
    response_format: zodResponseFormat(City, "city"),
  });
  return said.choices[0].message.parsed;
}

async function structured_streamed() {
  const streamed = client.chat.completions.stream({
    model: MODEL,
    messages: user("structured_streamed", PARIS),
    response_format: zodResponseFormat(City, "city"),
  });
  return (await streamed.finalChatCompletion()).choices[0].message.parsed;
}

/** A client that leaves in the middle. */
async function aborted() {
  const streamed = await client.chat.completions.create({
    model: MODEL,
    messages: user("aborted", PARIS),
    stream: true,
  });
  for await (const _ of streamed) break;
  return streamed.controller.signal.aborted;
}

async function headers() {
  const { response } = await client.chat.completions
    .create({ model: MODEL, messages: user("headers", PARIS) })
    .withResponse();
  return response.headers.get("x-hearth-target");
}

async function models() {
  const found = [];
  for await (const model of client.models.list()) found.push(model.id);
  return found;
}

async function caught(asking, model) {
  try {
    await asking.chat.completions.create({ model, messages: user("caught", PARIS) });
  } catch (error) {
    return [error.constructor.name, error.status];
  }
}

await report({
  whole,
  stream,
  tools,
  tools_streamed,
  structured,
  structured_streamed,
  aborted,
  headers,
  models,
  wrong_key: () => caught(client.withOptions({ apiKey: "wrong" }), MODEL),
  unknown_model: () => caught(client, "no-such-model"),
});
