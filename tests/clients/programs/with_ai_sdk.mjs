// The Vercel AI SDK on either wire (HEARTH_WIRE: openai or anthropic): text, streams, its tool loop, objects, errors.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, stepCountIs, streamText, tool } from "ai";
import { BOTH, City, KEY, MODEL, PARIS, URL, WIRE, Where, asked, getWeather, report } from "./cases.mjs";

const tools = {
  get_weather: tool({ description: "The weather in a city.", inputSchema: Where, execute: async (where) => getWeather(where) }),
};
const rest = { maxRetries: 0, maxOutputTokens: 500 };
// Else the Anthropic provider asks models whose names it does not know for objects through a tool.
const bySchema = { anthropic: { structuredOutputMode: "outputFormat" } };

function model(name = MODEL, apiKey = KEY) {
  const baseURL = `${URL}/v1`;
  if (WIRE === "anthropic") return createAnthropic({ baseURL, apiKey })(name);
  const compatible = { name: "hearth", baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true };
  return createOpenAICompatible(compatible)(name);
}

const tokens = (usage) => [usage.inputTokens, usage.outputTokens, usage.inputTokenDetails.cacheReadTokens];

/** A stream's pieces; its errors are parts of it and would otherwise only be logged. */
async function textOf(streamed) {
  const pieces = [];
  for await (const part of streamed.fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "text-delta") pieces.push(part.text);
  }
  return pieces;
}

async function whole() {
  const said = await generateText({ model: model(), prompt: asked("whole", PARIS), ...rest });
  return { text: said.text, finish: said.finishReason, usage: tokens(said.usage) };
}

async function stream() {
  const streamed = streamText({ model: model(), prompt: asked("stream", PARIS), ...rest });
  const pieces = await textOf(streamed);
  const [finish, usage] = [await streamed.finishReason, await streamed.usage];
  return { text: pieces.join(""), pieces: pieces.length, finish, usage: tokens(usage) };
}

async function thinking() {
  const said = await generateText({ model: model(), prompt: asked("thinking", `think. ${PARIS}`), ...rest });
  return [said.reasoningText, said.text];
}

async function loop() {
  const prompt = asked("tools", BOTH);
  const said = await generateText({ model: model(), prompt, tools, stopWhen: stepCountIs(3), ...rest });
  return said.text;
}

async function loopStreamed() {
  const prompt = asked("tools_streamed", BOTH);
  const streamed = streamText({ model: model(), prompt, tools, stopWhen: stepCountIs(3), ...rest });
  return (await textOf(streamed)).join("");
}

async function structured() {
  const output = Output.object({ schema: City });
  const prompt = asked("structured", PARIS);
  return (await generateText({ model: model(), prompt, output, providerOptions: bySchema, ...rest })).output;
}

/** As the provider does it by itself. */
async function structured_by_default() {
  const output = Output.object({ schema: City });
  return (await generateText({ model: model(), prompt: asked("by_default", PARIS), output, ...rest })).output;
}

async function caught(asking) {
  try {
    await generateText({ model: asking, prompt: asked("caught", PARIS), ...rest });
  } catch (error) {
    return [error.name, error.statusCode];
  }
}

await report({
  whole,
  stream,
  thinking,
  tools: loop,
  tools_streamed: loopStreamed,
  structured,
  structured_by_default,
  wrong_key: () => caught(model(MODEL, "wrong")),
  unknown_model: () => caught(model("no-such-model")),
});
