import { useCallback, useMemo } from "react";
import { useTranslation } from "react-i18next";

import { curve, CURVES, type Curve } from "@/admin/jobs/curves";
import type { EventObject } from "@/api/generated/types.gen";
import { Chart } from "@/ui/chart/chart";
import { Empty } from "@/ui/load";

/** What was measured while the model learned. */
export function JobCurves({ events }: { events: readonly EventObject[] }) {
  const { t } = useTranslation();
  const charts = useMemo(
    () =>
      CURVES.flatMap((name) => {
        const data = curve(events, name, (figure) => t(`admin.jobs.figures.${figure}`));
        return data ? [{ name, data }] : [];
      }),
    [events, t],
  );
  if (charts.length === 0) return <Empty>{t("admin.jobs.noCurves")}</Empty>;
  return (
    <div className="grid gap-8 xl:grid-cols-2">
      {charts.map(({ name, data }) => (
        <CurveChart key={name} name={name} {...data} />
      ))}
    </div>
  );
}

function CurveChart({ name, ...data }: { name: Curve } & NonNullable<ReturnType<typeof curve>>) {
  const { t, i18n } = useTranslation();
  const showX = useCallback((step: number) => new Intl.NumberFormat(i18n.language).format(step), [i18n.language]);
  const showY = useMemo(() => {
    // Learning rates are so small that only their powers of ten say something.
    const notation = name === "learning_rate" ? "scientific" : "standard";
    const format = new Intl.NumberFormat(i18n.language, { notation, maximumSignificantDigits: 4 });
    return (value: number) => format.format(value);
  }, [i18n.language, name]);
  return (
    <Chart
      title={t(`admin.jobs.curve.${name}`)}
      xTitle={t("admin.jobs.stepTitle")}
      kind="lines"
      {...data}
      showX={showX}
      showY={showY}
      showValue={showY}
    />
  );
}
