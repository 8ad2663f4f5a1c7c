/** The drawing of a chart; loaded when the first one is shown. */

import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { stacked, type ChartData } from "@/ui/chart/series";
import { useTheme } from "@/app/theme";

export interface PlotProps extends ChartData {
  /** Bars stand on each other; lines cross. */
  kind: "bars" | "lines";
  showX: (x: number) => string;
  showY: (y: number) => string;
  /** The index that is pointed at. */
  onPoint: (index: number | null) => void;
}

const DAY_S = 86_400;
const DAYS = [1, 2, 7, 14, 28, 56, 91, 182].map((days) => days * DAY_S);
const HEIGHT = 220;

/** Changes of the data move the lines; only another look builds the chart anew. */
export function Plot(props: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  const dark = useTheme((state) => state.dark);
  const { kind, x, series, showX, showY } = props;
  const count = series.length;

  useEffect(() => {
    latest.current = props;
  });

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = new uPlot(options(latest, kind, count, element.clientWidth), table(kind, latest.current), element);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [kind, count, dark, showX, showY]);

  useEffect(() => {
    plot.current?.setData(table(kind, { x, series }));
  }, [kind, x, series]);

  return <div ref={box} className="w-full overflow-hidden" style={{ height: HEIGHT }} />;
}

function table(kind: PlotProps["kind"], { x, series }: ChartData): uPlot.AlignedData {
  const rows = kind === "bars" ? stacked(series) : series.map(({ values }) => [...values]);
  return [[...x], ...rows];
}

function options(
  latest: { readonly current: PlotProps },
  kind: PlotProps["kind"],
  count: number,
  width: number,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const grid = { stroke: colour("--line"), width: 1 };
  const text = { stroke: colour("--ink-soft"), font: `12px ${style.fontFamily}`, ticks: { show: false } };
  const bars = kind === "bars";
  const series = Array.from({ length: count }, (_, drawn): uPlot.Series => {
    const own = colour(`--chart-${(bars ? count - 1 - drawn : drawn) + 1}`);
    if (!bars) return { stroke: own, width: 2, spanGaps: true };
    return { fill: own, width: 0, points: { show: false }, ...(barPaths ? { paths: barPaths } : {}) };
  });
  return {
    width,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: !bars } },
    scales: {
      x: {
        time: false,
        range: (_plot, low, high) => (bars ? [low - DAY_S / 2, high + DAY_S / 2] : [low, Math.max(high, low + 1)]),
      },
      y: bars ? { range: (_plot, _low, high) => [0, high > 0 ? high * 1.05 : 1] } : {},
    },
    axes: [
      {
        ...text,
        grid: { show: false },
        space: 64,
        ...(bars ? { incrs: DAYS, splits: evenDays } : {}),
        values: (_plot, splits) => splits.map((split) => latest.current.showX(split)),
      },
      { ...text, grid, size: 56, values: (_plot, splits) => splits.map((split) => latest.current.showY(split)) },
    ],
    series: [{}, ...series],
    hooks: { setCursor: [(plot) => latest.current.onPoint(plot.cursor.idx ?? null)] },
  };
}

const barPaths = uPlot.paths.bars?.({ size: [0.75, 48] });

/** Marks stand under bars: days begin where the reader's midnight is, not at a multiple of a day since 1970. */
function evenDays(plot: uPlot, _axis: number, low: number, high: number, step: number): number[] {
  const first = plot.data[0][0];
  if (first === undefined) return [];
  const marks: number[] = [];
  for (let mark = first; mark <= high; mark += step) if (mark >= low) marks.push(mark);
  return marks;
}
