import { useId } from "react";
import { useTranslation } from "react-i18next";

import { faultOf, NUMBERS, type NumberName } from "@/chat/setup/parameters";
import { useFormats } from "@/ui/formats";

interface NumberRowProps {
  name: NumberName;
  text: string;
  onChange: (text: string) => void;
  /** Also by a slider, where the bounds are near enough to each other. */
  slider?: boolean;
}

/** A number of the sampling; left empty, it is as advised. */
export function NumberRow({ name, text, onChange, slider = false }: NumberRowProps) {
  const { t } = useTranslation();
  const { number } = useFormats();
  const id = useId();
  const { from, to, step } = NUMBERS[name];
  const fault = faultOf(name, text);
  const told =
    fault === "range"
      ? t("chat.persona.range", { from: number(from, 2), to: number(to, 2) })
      : fault === "whole"
        ? t("chat.persona.whole")
        : null;
  return (
    <div>
      <div className="flex items-center justify-between gap-4">
        <label htmlFor={id} className="text-sm font-medium">
          {t(`chat.persona.fields.${name}`)}
        </label>
        <input
          id={id}
          inputMode={from < 0 ? "text" : step === 1 ? "numeric" : "decimal"} // phones' number pads have no minus
          value={text}
          onChange={(event) => onChange(event.target.value)}
          placeholder={t("chat.persona.advised")}
          aria-describedby={`${id}-hint`}
          aria-invalid={fault !== null || undefined}
          className={`h-10 w-32 rounded-lg border bg-surface px-3 text-right text-base tabular-nums placeholder:text-soft md:h-9 md:text-sm ${fault ? "border-danger" : "border-line-strong"}`}
        />
      </div>
      {slider && (
        <input
          type="range"
          min={from}
          max={to}
          step={step}
          // In the middle while nothing is chosen: where it stands means something only beside a number.
          value={text === "" || fault ? (from + to) / 2 : Number(text)}
          onChange={(event) => onChange(event.target.value)}
          aria-label={t(`chat.persona.fields.${name}`)}
          aria-valuetext={text === "" ? t("chat.persona.advised") : text}
          className={`mt-1 h-6 w-full cursor-pointer accent-accent ${text === "" ? "opacity-50" : ""}`}
        />
      )}
      <p id={`${id}-hint`} className={`mt-1 text-sm ${told ? "text-danger" : "text-soft"}`}>
        {told ?? t(`chat.persona.hints.${name}`)}
      </p>
    </div>
  );
}
