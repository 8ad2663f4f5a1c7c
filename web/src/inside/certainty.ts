/** From numbers to colours: five levels of certainty, and heat in proportion to a weight. */

import type { PlaceView } from "@/api/generated/types.gen";
import type { Formats } from "@/ui/formats";

export type Measure = "probability" | "entropy";
export type Level = 0 | 1 | 2 | 3 | 4;

export const LEVELS: readonly Level[] = [0, 1, 2, 3, 4];

/** Where the next level begins: probabilities fall, bits of entropy rise. */
export const BOUNDS: Record<Measure, readonly [number, number, number, number]> = {
  probability: [0.9, 0.5, 0.2, 0.05],
  entropy: [0.5, 1.5, 3, 5],
};

export const COLOURS: Record<Level, string> = {
  0: "bg-accent/25",
  1: "bg-accent/10",
  2: "bg-warning/15",
  3: "bg-warning/35",
  4: "bg-danger/35",
};

/** How certain a place was: 0 for sure, 4 for a surprise. */
export function levelOf(place: PlaceView, measure: Measure): Level {
  const bounds = BOUNDS[measure];
  const within =
    measure === "probability"
      ? bounds.findIndex((bound) => place.probability >= bound)
      : bounds.findIndex((bound) => place.entropy < bound);
  return (within < 0 ? 4 : within) as Level;
}

export interface Summary {
  tokens: number;
  /** How many were the likeliest of their place. */
  firstChoices: number;
  /** The model's perplexity on the answer: 1 where it was sure of everything. */
  perplexity: number;
}

export function summaryOf(places: readonly PlaceView[]): Summary {
  const nats = places.reduce((sum, place) => sum - Math.log(Math.max(place.probability, 1e-300)), 0);
  return {
    tokens: places.length,
    firstChoices: places.filter((place) => place.rank === 1).length,
    perplexity: places.length ? Math.exp(nats / places.length) : 1,
  };
}

/** A probability as people read it; what would be rounded to nothing is "less than". */
export function percentOf(probability: number, formats: Formats): string {
  return probability > 0 && probability < 0.0005 ? `< ${formats.percent(0.001)}` : formats.percent(probability);
}

/** The weights of a row in proportion to the largest, from 0 to 1. The first token is left out where it drowns all. */
export function heatOf(weights: readonly number[], withoutFirst: boolean): number[] {
  const counted =
    withoutFirst && weights.length > 1 ? weights.map((weight, index) => (index ? weight : 0)) : [...weights];
  const most = Math.max(...counted);
  return most > 0 ? counted.map((weight) => Math.sqrt(weight / most)) : counted;
}

/** A background for heat; never so strong that the text on it is hard to read. */
export const heatColour = (heat: number) =>
  heat < 0.02 ? undefined : `color-mix(in srgb, var(--accent) ${Math.round(heat * 45)}%, transparent)`;

/** Positions of the largest weights, largest first. */
export function strongest(weights: readonly number[], count: number, withoutFirst: boolean): number[] {
  return weights
    .map((_, index) => index)
    .filter((index) => !(withoutFirst && index === 0 && weights.length > 1))
    .sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0))
    .slice(0, count);
}
