/** The logit lens: what the model would say if it ended after each of its layers. */

import { useQuery } from "@tanstack/react-query";
import { clsx } from "clsx";
import { useTranslation } from "react-i18next";

import type { PlaceView } from "@/api/generated/types.gen";
import { percentOf } from "@/inside/certainty";
import { Disclosure } from "@/inside/disclosure";
import { lensQuery, type Subject } from "@/inside/queries";
import { useSettled } from "@/inside/settled";
import { labelOf, type Spelled } from "@/inside/spelling";
import { useFormats } from "@/ui/formats";
import { Loaded } from "@/ui/load";

export function LensPanel({ subject, token }: { subject: Subject; token: Spelled }) {
  const { t } = useTranslation();
  return (
    <Disclosure part="lens" title={t("inside.lens")}>
      {() => <Lens subject={subject} token={token} />}
    </Disclosure>
  );
}

function Lens({ subject, token }: { subject: Subject; token: Spelled }) {
  const { t } = useTranslation();
  const settled = useSettled(token);
  const query = useQuery(lensQuery(subject, settled.position));
  return (
    <>
      <p className="mb-3 text-xs text-soft">{t("inside.lensHint")}</p>
      <Loaded query={query}>
        {(layers) => (
          <table className="w-full table-fixed text-sm">
            <thead className="text-left text-xs text-soft">
              <tr>
                <th className="w-16 py-1 font-normal">{t("inside.layer")}</th>
                <th className="py-1 font-normal">{t("inside.says")}</th>
                <th className="w-20 py-1 text-right font-normal">
                  <span className="block truncate font-mono">{settled.label}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {layers.map((place, layer) => (
                <Layer key={layer} layer={layer} place={place} own={settled.token.id} />
              ))}
            </tbody>
          </table>
        )}
      </Loaded>
    </>
  );
}

function Layer({ layer, place, own }: { layer: number; place: PlaceView; own: number }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const best = place.alternatives[0];
  if (!best) return null;
  return (
    <tr className="border-t border-line">
      <th scope="row" className="py-1 text-left text-xs font-normal text-soft tabular-nums">
        {layer === 0 ? t("inside.embedding") : layer}
      </th>
      <td className="py-1">
        <span className="flex items-baseline justify-between gap-2">
          <span className={clsx("truncate font-mono", best.token.id === own && "font-semibold text-accent")}>
            {labelOf(best.token)}
          </span>
          <span className="shrink-0 text-xs text-soft tabular-nums">{percentOf(best.probability, formats)}</span>
        </span>
      </td>
      <td className="relative py-1 pl-3 text-right text-xs tabular-nums">
        <span
          aria-hidden
          className="absolute inset-y-1 right-0 rounded-xs bg-accent/25"
          style={{ width: `${place.probability * 85}%` }}
        />
        <span className="relative">{percentOf(place.probability, formats)}</span>
      </td>
    </tr>
  );
}
