// What the JavaScript client programs share: what to ask whom, and a report of every case as one line of JSON.

import { z } from "zod";

export const { HEARTH_URL: URL, HEARTH_KEY: KEY, HEARTH_ASK: MODEL, HEARTH_CLIENT: CLIENT, HEARTH_WIRE: WIRE } = process.env;

export const PARIS = "What is the capital of France?";
export const BOTH = 'call get_weather with {"city": "Paris"} and call get_weather with {"city": "Oslo"}';
export const Where = z.object({ city: z.string().describe("Where.") });
export const City = z.object({ city: z.string(), inhabitants: z.number().int() });

const WEATHER = { Paris: "sunny, 21 degrees", Oslo: "snow" };

/** The prompt with the case's mark, so that its bodies can be told from others. */
export const asked = (name, text) => `[${CLIENT}/${MODEL}/${name}] ${text}`;

/** The weather in a city. */
export const getWeather = ({ city }) => WEATHER[city];

/** Runs every case; a failed one does not stop the others. */
export async function report(cases) {
  const outcomes = {};
  for (const [name, run] of Object.entries(cases)) {
    try {
      outcomes[name] = { value: (await run()) ?? null };
    } catch (error) {
      outcomes[name] = { error: `${error?.stack ?? error}\n${JSON.stringify(error?.cause ?? null)}` };
    }
  }
  console.log(JSON.stringify(outcomes));
}
