import { clsx } from "clsx";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";

import { BOUNDS, COLOURS, LEVELS, levelOf, percentOf, summaryOf, type Level, type Measure } from "@/inside/certainty";
import { Halves } from "@/inside/halves";
import type { TabProps } from "@/inside/inside-dialog";
import { PlacePanel } from "@/inside/place-panel";
import type { Spelled } from "@/inside/spelling";
import { TokenText } from "@/inside/token-text";
import { useFormats } from "@/ui/formats";

/** The answer coloured by how certain the model was of it. */
export function CertaintyTab({ subject, view, tokens, position, onPosition }: TabProps) {
  const { t } = useTranslation();
  const formats = useFormats();
  const [measure, setMeasure] = useState<Measure>("probability");
  const places = useMemo(() => view.tokens?.places ?? [], [view]);
  const answer = useMemo(() => tokens.slice(view.answer_start), [tokens, view]);
  const placeOf = (token: Spelled) => places[token.position - view.answer_start];
  const chosen = answer.find((token) => token.position === position) ?? answer[0];
  const place = chosen && placeOf(chosen);
  const summary = summaryOf(places);
  return (
    <Halves
      label={t("inside.details")}
      text={
        <div className="flex flex-col gap-4">
          <Legend measure={measure} onMeasure={setMeasure} />
          <TokenText
            tokens={answer}
            label={t("inside.answerTokens")}
            selected={chosen?.position ?? -1}
            onSelect={onPosition}
            lookOf={(token) => {
              const at = placeOf(token);
              return at ? { className: COLOURS[levelOf(at, measure)] } : {};
            }}
            nameOf={(token) => `${token.label}, ${percentOf(placeOf(token)?.probability ?? 0, formats)}`}
          />
          <p className="text-sm text-soft">
            {t("inside.summary", {
              count: summary.tokens,
              tokens: formats.number(summary.tokens),
              first: formats.number(summary.firstChoices),
              perplexity: formats.number(summary.perplexity, 2),
            })}
          </p>
        </div>
      }
      details={chosen && place && <PlacePanel subject={subject} token={chosen} place={place} />}
    />
  );
}

function Legend({ measure, onMeasure }: { measure: Measure; onMeasure: (measure: Measure) => void }) {
  const { t } = useTranslation();
  const legend = useLegend(measure);
  return (
    <div className="flex flex-wrap items-center gap-x-5 gap-y-2 text-xs">
      <div role="group" aria-label={t("inside.colourBy")} className="flex rounded-lg border border-line p-0.5">
        {(["probability", "entropy"] as const).map((each) => (
          <button
            key={each}
            type="button"
            aria-pressed={measure === each}
            onClick={() => onMeasure(each)}
            className="h-7 cursor-pointer rounded-md px-3 text-soft aria-pressed:bg-hover aria-pressed:font-medium aria-pressed:text-ink max-md:h-10"
          >
            {t(`inside.measure.${each}`)}
          </button>
        ))}
      </div>
      <ul aria-label={t("inside.legend")} className="flex flex-wrap gap-x-3 gap-y-1">
        {LEVELS.map((level) => (
          <li key={level} className="flex items-center gap-1.5 whitespace-nowrap">
            <span className={clsx("size-4 rounded border border-line", COLOURS[level])} aria-hidden />
            {legend(level)}
          </li>
        ))}
      </ul>
    </div>
  );
}

/** The bounds of a level, as text. */
function useLegend(measure: Measure): (level: Level) => string {
  const { t } = useTranslation();
  const formats = useFormats();
  const [within, beyond] = measure === "probability" ? ["≥", "<"] : ["<", "≥"];
  const told = (bound: number) =>
    measure === "probability" ? formats.percent(bound) : t("inside.bits", { bits: formats.number(bound, 1) });
  return (level) =>
    level === 4 ? `${beyond} ${told(BOUNDS[measure][3])}` : `${within} ${told(BOUNDS[measure][level])}`;
}
