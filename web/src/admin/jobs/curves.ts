/** From a job's events to the curves of its training. */

import type { EventObject } from "@/api/generated/types.gen";
import type { ChartData } from "@/ui/chart/series";

export const CURVES = ["loss", "accuracy", "learning_rate"] as const;

export type Curve = (typeof CURVES)[number];

const FIGURES: Record<Curve, readonly string[]> = {
  loss: ["train_loss", "valid_loss"],
  accuracy: ["train_accuracy", "valid_accuracy"],
  learning_rate: ["learning_rate"],
};

/** One curve for each figure that was measured at least once; null where none was. */
export function curve(
  events: readonly EventObject[],
  wanted: Curve,
  label: (figure: string) => string,
): ChartData | null {
  const steps = new Map<number, Record<string, unknown>>();
  for (const { type, data } of events) {
    const step = data.step;
    if (type === "metrics" && typeof step === "number") steps.set(step, { ...steps.get(step), ...data });
  }
  const x = [...steps.keys()].sort((a, b) => a - b);
  const series = FIGURES[wanted].flatMap((figure) => {
    const values = x.map((step) => {
      const value = steps.get(step)?.[figure];
      return typeof value === "number" && Number.isFinite(value) ? value : null;
    });
    return values.some((value) => value !== null) ? [{ label: label(figure), values }] : [];
  });
  return series.length > 0 ? { x, series } : null;
}

export interface Progress {
  step: number;
  total: number;
}

/** How far training is, as the newest event that says it has it. Events come with the newest first. */
export function progress(events: readonly EventObject[]): Progress | null {
  for (const { data } of events) {
    const { step, total_steps: total } = data;
    if (typeof step === "number" && typeof total === "number") return { step, total };
  }
  return null;
}
