import { useMemo } from "react";
import { useTranslation } from "react-i18next";

import type { UsageSum } from "@/api/generated/types.gen";
import { Chart } from "@/ui/chart/chart";
import { useFormats } from "@/ui/formats";
import { byDay, daysUntil, type Measure } from "@/usage/by-day";

interface UsageChartProps {
  rows: readonly UsageSum[];
  days: number;
  measure: Measure;
  kind: (row: UsageSum) => string;
}

/** What was used, day by day. */
export function UsageChart({ rows, days, measure, kind }: UsageChartProps) {
  const { t, i18n } = useTranslation();
  const { number, compact } = useFormats();
  const shown = useMemo(
    () => byDay({ rows, days: daysUntil(new Date(), days), measure, kind, others: t("usage.others") }),
    [rows, days, measure, kind, t],
  );
  const showDay = useMemo(() => {
    const format = new Intl.DateTimeFormat(i18n.language, { month: "short", day: "numeric" });
    return (seconds: number) => format.format(seconds * 1000);
  }, [i18n.language]);
  return (
    <Chart
      title={t(`usage.${measure}ByDay`)}
      xTitle={t("usage.day")}
      kind="bars"
      {...shown}
      showX={showDay}
      showY={compact}
      showValue={number}
    />
  );
}
