import { useTranslation } from "react-i18next";

import { SelectField } from "@/ui/form";
import type { Measure } from "@/usage/by-day";

const PERIODS = ["7", "30", "90"] as const;
const MEASURES: readonly Measure[] = ["tokens", "requests"];

/** How many days back. */
export type Period = (typeof PERIODS)[number];

interface PeriodAndMeasureProps {
  period: Period;
  onPeriod: (period: Period) => void;
  measure: Measure;
  onMeasure: (measure: Measure) => void;
}

export function PeriodAndMeasure({ period, onPeriod, measure, onMeasure }: PeriodAndMeasureProps) {
  const { t } = useTranslation();
  return (
    <>
      <SelectField
        label={t("usage.period")}
        value={period}
        onChange={onPeriod}
        choices={PERIODS.map((value) => ({ value, label: t("usage.days", { count: Number(value) }) }))}
      />
      <SelectField
        label={t("usage.measure")}
        value={measure}
        onChange={onMeasure}
        choices={MEASURES.map((value) => ({ value, label: t(`usage.${value}`) }))}
      />
    </>
  );
}
