import { clsx } from "clsx";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";

import { Halves } from "@/inside/halves";
import type { TabProps } from "@/inside/inside-dialog";
import { Fact } from "@/inside/place-panel";
import { hexOf, type Spelled } from "@/inside/spelling";
import { TokenText } from "@/inside/token-text";
import { useFormats } from "@/ui/formats";

const TINTS = ["bg-accent/10", "bg-accent/25", "bg-warning/15", "bg-warning/30"] as const;

/** How the tokenizer cut question and answer. */
export function CutTab({ view, tokens, position, onPosition }: TabProps) {
  const { t } = useTranslation();
  const formats = useFormats();
  const parts = useMemo(
    () => ({ question: tokens.slice(0, view.answer_start), answer: tokens.slice(view.answer_start) }),
    [tokens, view],
  );
  const chosen = tokens[position];
  return (
    <Halves
      label={t("inside.details")}
      text={
        <div className="flex flex-col gap-6">
          {(["question", "answer"] as const).map((part) => (
            <section key={part}>
              <h3 className="mb-1 text-sm font-medium">{t(`inside.part.${part}`)}</h3>
              <Counts tokens={parts[part]} />
              <TokenText
                tokens={parts[part]}
                label={t(`inside.part.${part}`)}
                selected={position}
                onSelect={onPosition}
                lookOf={({ token, position: at }) => ({
                  className: clsx(token.control ? "bg-hover" : TINTS[at % TINTS.length]),
                })}
                nameOf={({ token, label }) => `${label}, ${token.id}`}
              />
            </section>
          ))}
        </div>
      }
      details={
        chosen && (
          <div className="flex flex-col gap-4">
            <h3 className="text-xl font-semibold wrap-anywhere">
              <span className="rounded-lg bg-sunken px-2 py-0.5 font-mono">{chosen.label}</span>
            </h3>
            <dl className="grid grid-cols-2 gap-2">
              <Fact name={t("inside.id")}>{chosen.token.id}</Fact>
              <Fact name={t("inside.position")}>{formats.number(chosen.position + 1)}</Fact>
            </dl>
            <dl>
              <Fact name={t("inside.bytes")}>
                <span className="font-mono wrap-anywhere">{hexOf(chosen.token)}</span>
              </Fact>
            </dl>
            <p className="text-sm text-soft">{told(chosen, t)}</p>
          </div>
        )
      }
    />
  );
}

/** What kind of token it is, in a sentence. */
function told({ token, shown }: Spelled, t: (key: string) => string): string {
  if (token.control) return t("inside.kind.control");
  if (shown === "") return t("inside.kind.half");
  return t(token.text === null ? "inside.kind.completing" : "inside.kind.text");
}

function Counts({ tokens }: { tokens: readonly Spelled[] }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const texts = tokens.filter(({ token }) => !token.control);
  const characters = [...texts.map(({ shown }) => shown).join("")].length;
  const bytes = texts.reduce((sum, { token }) => sum + token.bytes.length, 0);
  return (
    <p className="mb-2 text-xs text-soft">
      {t("inside.counts", {
        count: tokens.length,
        tokens: formats.number(tokens.length),
        characters: formats.number(characters),
        bytes: formats.number(bytes),
        each: formats.number(texts.length ? characters / texts.length : 0, 1),
      })}
    </p>
  );
}
