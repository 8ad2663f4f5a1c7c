/** Dates, numbers and sizes in the reader's language. */

import { useMemo } from "react";
import { useTranslation } from "react-i18next";

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;

export interface Formats {
  day: (ms: number) => string;
  dayAndTime: (ms: number) => string;
  number: (value: number, digits?: number) => string;
  compact: (value: number) => string;
  percent: (value: number) => string;
  size: (bytes: number) => string;
}

export function formatsIn(language: string): Formats {
  const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
  const dayAndTime = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  const compact = new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 });
  const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
  return {
    day: (ms) => day.format(ms),
    dayAndTime: (ms) => dayAndTime.format(ms),
    number: (value, digits = 0) => new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value),
    compact: (value) => compact.format(value),
    percent: (value) => percent.format(value),
    size: (bytes) => {
      const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1);
      const unit = UNITS[power] ?? "byte";
      const form = { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: power > 2 ? 1 : 0 } as const;
      return new Intl.NumberFormat(language, form).format(bytes / 1024 ** power);
    },
  };
}

export function useFormats(): Formats {
  const { i18n } = useTranslation();
  return useMemo(() => formatsIn(i18n.language), [i18n.language]);
}
