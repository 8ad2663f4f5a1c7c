/** One token of an answer: how probable it was, what else might have stood there, what each layer would have said. */

import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import type { PlaceView } from "@/api/generated/types.gen";
import { Bars } from "@/inside/bars";
import { percentOf } from "@/inside/certainty";
import { LensPanel } from "@/inside/lens-panel";
import type { Subject } from "@/inside/queries";
import { hexOf, labelOf, type Spelled } from "@/inside/spelling";
import { useFormats } from "@/ui/formats";

interface PlacePanelProps {
  subject: Subject;
  token: Spelled;
  place: PlaceView;
}

export function PlacePanel({ subject, token, place }: PlacePanelProps) {
  const { t } = useTranslation();
  const formats = useFormats();
  const isAmong = place.alternatives.some((alternative) => alternative.token.id === token.token.id);
  const bars = place.alternatives.map((alternative) => ({
    key: String(alternative.token.id),
    label: alternative.token.id === token.token.id ? token.label : labelOf(alternative.token),
    value: alternative.probability,
    told: percentOf(alternative.probability, formats),
    marked: alternative.token.id === token.token.id,
  }));
  if (!isAmong) {
    const told = percentOf(place.probability, formats);
    bars.push({ key: "own", label: token.label, value: place.probability, told, marked: true });
  }
  return (
    <div className="flex flex-col gap-5">
      <div>
        <h3 className="text-xl font-semibold wrap-anywhere">
          <span className="rounded-lg bg-sunken px-2 py-0.5 font-mono">{token.label}</span>
        </h3>
        <dl className="mt-3 grid grid-cols-3 gap-2">
          <Fact name={t("inside.probability")}>{percentOf(place.probability, formats)}</Fact>
          <Fact name={t("inside.rank")}>{formats.number(place.rank)}</Fact>
          <Fact name={t("inside.entropy")}>{t("inside.bits", { bits: formats.number(place.entropy, 2) })}</Fact>
        </dl>
        <p className="mt-2 text-xs text-soft">
          {t("inside.tokenFacts", {
            id: token.token.id,
            position: formats.number(token.position + 1),
            bytes: hexOf(token.token),
          })}
        </p>
      </div>
      <div>
        <h4 className="mb-2 text-sm font-medium">{t("inside.alternatives")}</h4>
        <Bars bars={bars} label={t("inside.alternatives")} />
        <p className="mt-2 text-xs text-soft">{t("inside.ownProbabilities")}</p>
      </div>
      {token.position > 0 && <LensPanel subject={subject} token={token} />}
    </div>
  );
}

export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="rounded-lg bg-sunken px-3 py-2">
      <dt className="text-xs text-soft">{name}</dt>
      <dd className="text-sm font-semibold tabular-nums">{children}</dd>
    </div>
  );
}
