import type { JobSample } from "@/api/generated/types.gen";

/** Samples of one step together; both steps and their samples keep the order in which they came. */
export function bySteps(samples: readonly JobSample[]): { step: number; samples: JobSample[] }[] {
  const steps = new Map<number, JobSample[]>();
  for (const sample of samples) steps.set(sample.step, [...(steps.get(sample.step) ?? []), sample]);
  return [...steps].map(([step, own]) => ({ step, samples: own }));
}
