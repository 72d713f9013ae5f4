// openai-node: chat completions and responses, whole and streamed, its tool runner, schemas, models, errors.

import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
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

// The responses wire

const responding = zodResponsesFunction({ name: "get_weather", parameters: Where });

const results = (said) =>
  said.output
    .filter((item) => item.type === "function_call")
    .map(({ call_id, arguments: given }) => {
      return { type: "function_call_output", call_id, output: getWeather(JSON.parse(given)) };
    });

async function responses_whole() {
  const said = await client.responses.create({ model: MODEL, input: asked("responses_whole", PARIS) });
  const { input_tokens, output_tokens, input_tokens_details } = said.usage;
  const usage = [input_tokens, output_tokens, input_tokens_details.cached_tokens];
  return { text: said.output_text, status: said.status, usage };
}

async function responses_stream() {
  const pieces = [];
  let last;
  const streamed = client.responses.stream({ model: MODEL, input: asked("responses_stream", PARIS) });
  for await (const event of streamed) {
    last = event.type;
    if (event.type === "response.output_text.delta") pieces.push(event.delta);
  }
  const final = await streamed.finalResponse();
  return { text: final.output_text, pieces: pieces.length, whole: pieces.join("") === final.output_text, last };
}

/** Stateless: every item of the answer is given back with the results. */
async function responses_tools() {
  const input = [{ role: "user", content: asked("responses_tools", `think. ${BOTH}`) }];
  const first = await client.responses.create({ model: MODEL, input, tools: [responding], store: false });
  input.push(...first.output, ...results(first));
  return (await client.responses.create({ model: MODEL, input, tools: [responding], store: false })).output_text;
}

async function responses_tools_streamed() {
  const input = asked("responses_tools_streamed", BOTH);
  const first = await client.responses.stream({ model: MODEL, input, tools: [responding] }).finalResponse();
  const second = { model: MODEL, input: results(first), previous_response_id: first.id, tools: [responding] };
  return (await client.responses.stream(second).finalResponse()).output_text;
}

/** Three turns of which only the new words are sent. */
async function responses_going_on() {
  let last;
  for (const turn of ["one", "two", "three"]) {
    last = await client.responses.create({
      model: MODEL,
      input: asked("responses_going_on", turn),
      previous_response_id: last?.id,
      instructions: "Be brief.",
    });
  }
  return [last.output_text, typeof last.previous_response_id === "string"];
}

async function responses_structured() {
  const said = await client.responses.parse({
    model: MODEL,
    input: asked("responses_structured", PARIS),
    text: { format: zodTextFormat(City, "city") },
  });
  return said.output_parsed;
}

/** What is kept of an answer: given, listed, not to be cancelled, and forgotten. */
async function responses_kept() {
  const first = await client.responses.create({ model: MODEL, input: asked("responses_kept", "one") });
  const input = asked("responses_kept", "two");
  const said = await client.responses.create({ model: MODEL, input, previous_response_id: first.id });
  const again = await client.responses.retrieve(said.id);
  const roles = [];
  for await (const item of client.responses.inputItems.list(said.id, { limit: 2, order: "asc" })) roles.push(item.role);
  const refused = await told_of(() => client.responses.cancel(said.id));
  await client.responses.delete(said.id);
  return {
    same: again.output_text === said.output_text && again.id === said.id,
    roles,
    refused,
    gone: await told_of(() => client.responses.retrieve(said.id)),
    gone_on: await told_of(() => client.responses.create({ model: MODEL, input, previous_response_id: said.id })),
  };
}

async function told_of(asking) {
  try {
    await asking();
  } catch (error) {
    return [error.constructor.name, error.status, error.code];
  }
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
  responses_whole,
  responses_stream,
  responses_tools,
  responses_tools_streamed,
  responses_going_on,
  responses_structured,
  responses_kept,
  wrong_key: () => caught(client.withOptions({ apiKey: "wrong" }), MODEL),
  unknown_model: () => caught(client, "no-such-model"),
});
