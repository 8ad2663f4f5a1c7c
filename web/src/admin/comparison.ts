/** What may be said of two evaluations beside each other. */

import type { EvaluationInfo, FigureInfo } from "@/api/generated/types.gen";

export interface Line {
  task: string;
  figure: string;
}

/** Every figure that one of the reports has, in their order. */
export function lines(reports: readonly EvaluationInfo[]): Line[] {
  const found = new Map<string, Line>();
  for (const report of reports) {
    for (const [task, { figures }] of Object.entries(report.tasks)) {
      for (const figure of Object.keys(figures)) found.set(`${task}\n${figure}`, { task, figure });
    }
  }
  return [...found.values()];
}

export type Verdict = "better" | "worse" | "same";

const LESS_IS_BETTER = /perplexity|loss|error|bits_per|(^|_)(ece|brier|nll|wer|cer)($|_)/;

/** Different only where the intervals do not touch: everything nearer may be chance. */
export function comparedWith(base: FigureInfo, figure: FigureInfo, name: string): Verdict {
  if (figure.low <= base.high && figure.high >= base.low) return "same";
  const isHigher = figure.value > base.value;
  return isHigher === LESS_IS_BETTER.test(name) ? "worse" : "better";
}
