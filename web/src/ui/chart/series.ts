/** One kind of thing in a chart; null where nothing was measured. */
export interface Series {
  label: string;
  values: readonly (number | null)[];
}

export interface ChartData {
  /** Seconds since 1970 where x is time, else steps. Rising. */
  x: readonly number[];
  series: readonly Series[];
}

/** At most so many kinds are told apart by colour. */
export const MOST_SERIES = 6;

export function colourOf(index: number): string {
  return `var(--chart-${(index % MOST_SERIES) + 1})`;
}

/** Sums from the first series on: what bars that stand on each other are drawn from, the highest first. */
export function stacked(series: readonly Series[]): (number | null)[][] {
  const sums: (number | null)[][] = [];
  for (const { values } of series) {
    const below = sums.at(-1);
    sums.push(values.map((value, index) => (value ?? 0) + (below?.[index] ?? 0)));
  }
  return sums.reverse();
}
