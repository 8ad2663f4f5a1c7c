/** The numbers by which a model chooses its words: their bounds, and what was written into their fields. */

import type { Sampling } from "@/api/generated/types.gen";

export const NUMBERS = {
  temperature: { from: 0, to: 2, step: 0.05 },
  top_p: { from: 0, to: 1, step: 0.01 },
  max_tokens: { from: 1, to: 10_000_000, step: 1 },
  top_k: { from: 0, to: 1_000_000, step: 1 },
  min_p: { from: 0, to: 1, step: 0.01 },
  repetition_penalty: { from: 0.01, to: 10, step: 0.05 },
  presence_penalty: { from: -2, to: 2, step: 0.1 },
  frequency_penalty: { from: -2, to: 2, step: 0.1 },
  seed: { from: 0, to: Number.MAX_SAFE_INTEGER, step: 1 },
} as const satisfies Partial<Record<keyof Sampling, Bounds>>;

export interface Bounds {
  from: number;
  to: number;
  /** 1: whole numbers only. */
  step: number;
}

export type NumberName = keyof typeof NUMBERS;

/** What stands in the fields; empty: as the model's makers advise. */
export interface SamplingTexts {
  numbers: Record<NumberName, string>;
  /** One text a line. */
  stop: string;
  thinking: "advised" | "on" | "off";
}

export const NUMBER_NAMES = Object.keys(NUMBERS) as NumberName[];

const MAX_STOPS = 4;
const MAX_STOP_LENGTH = 512;

export function textsOf(sampling: Sampling): SamplingTexts {
  const numbers = Object.fromEntries(NUMBER_NAMES.map((name) => [name, sampling[name]?.toString() ?? ""]));
  const { thinking } = sampling;
  return {
    numbers: numbers as Record<NumberName, string>,
    stop: (sampling.stop ?? []).join("\n"),
    thinking: thinking === true ? "on" : thinking === false ? "off" : "advised",
  };
}

export type Fault = "range" | "whole";

/** What is wrong with a number, if anything. */
export function faultOf(name: NumberName, text: string): Fault | null {
  if (text.trim() === "") return null;
  const value = Number(text);
  const { from, to, step } = NUMBERS[name];
  if (Number.isNaN(value) || value < from || value > to) return "range";
  return step === 1 && !Number.isInteger(value) ? "whole" : null;
}

const stopsOf = (text: string) => text.split("\n").filter((line) => line !== "");

export const areStopsFine = (text: string): boolean => {
  const stops = stopsOf(text);
  return stops.length <= MAX_STOPS && stops.every((stop) => stop.length <= MAX_STOP_LENGTH);
};

/** What to send, or null while something is wrong. */
export function samplingOf({ numbers, stop, thinking }: SamplingTexts): Sampling | null {
  if (NUMBER_NAMES.some((name) => faultOf(name, numbers[name]) !== null) || !areStopsFine(stop)) return null;
  const sampling: Sampling = {};
  for (const name of NUMBER_NAMES) if (numbers[name].trim() !== "") sampling[name] = Number(numbers[name]);
  const stops = stopsOf(stop);
  if (stops.length > 0) sampling.stop = stops;
  if (thinking !== "advised") sampling.thinking = thinking === "on";
  return sampling;
}
