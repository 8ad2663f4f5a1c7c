/** A chart with its legend, and the same figures as a table for everybody who does not see it. */

import { lazy, Suspense, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";

import type { PlotProps } from "@/ui/chart/plot";
import { colourOf, type ChartData } from "@/ui/chart/series";
import { Table, type Column } from "@/ui/table";

const Plot = lazy(() => import("@/ui/chart/plot").then((module) => ({ default: module.Plot })));

interface ChartProps extends ChartData, Pick<PlotProps, "kind" | "showX" | "showY"> {
  title: string;
  /** What x is. */
  xTitle: string;
  /** In the legend and the table; showY is for the narrow axis. */
  showValue: (value: number) => string;
}

export function Chart({ title, xTitle, kind, x, series, showX, showY, showValue }: ChartProps) {
  const { t } = useTranslation();
  const [point, setPoint] = useState<number | null>(null);
  const at = point === null ? undefined : x[point];
  return (
    <figure className="flex min-w-0 flex-col gap-2">
      <figcaption className="flex flex-wrap items-baseline gap-x-4 gap-y-1 text-sm">
        <span className="font-medium">{title}</span>
        <span className="text-soft tabular-nums">{at === undefined ? "" : showX(at)}</span>
      </figcaption>
      <ul className="flex flex-wrap gap-x-4 gap-y-1 text-sm text-soft">
        {series.map(({ label, values }, index) => {
          const value = point === null ? null : values[point];
          return (
            <li key={label} className="flex items-center gap-1.5">
              <span aria-hidden className="size-2.5 rounded-sm" style={{ background: colourOf(index) }} />
              <span className="wrap-anywhere">{label}</span>
              {typeof value === "number" && <span className="text-ink tabular-nums">{showValue(value)}</span>}
            </li>
          );
        })}
      </ul>
      <div role="img" aria-label={t("common.chart", { title })}>
        <Suspense fallback={<div className="h-55 animate-pulse rounded-lg bg-sunken" />}>
          <Plot kind={kind} x={x} series={series} showX={showX} showY={showY} onPoint={setPoint} />
        </Suspense>
      </div>
      <details className="text-sm">
        <summary className="w-fit cursor-pointer rounded py-2 text-soft hover:text-ink">{t("common.asTable")}</summary>
        <div className="max-h-80 overflow-y-auto" tabIndex={0} role="group" aria-label={title}>
          <Figures title={title} xTitle={xTitle} x={x} series={series} showX={showX} showValue={showValue} />
        </div>
      </details>
    </figure>
  );
}

type FiguresProps = Omit<ChartProps, "kind" | "showY">;

function Figures({ title, xTitle, x, series, showX, showValue }: FiguresProps) {
  const columns = useMemo((): Column<number>[] => {
    const own = series.map(({ label, values }): Column<number> => ({
      id: label,
      title: label,
      numeric: true,
      cell: (index) => {
        const value = values[index];
        return typeof value === "number" ? showValue(value) : "–";
      },
    }));
    return [{ id: "x", title: xTitle, cell: (index) => showX(x[index] ?? 0) }, ...own];
  }, [series, x, xTitle, showX, showValue]);
  const rows = x.map((_, index) => index).filter((index) => series.some(({ values }) => values[index]));
  return <Table caption={title} columns={columns} rows={rows} id={String} />;
}
