/** All heads of all layers at once, from one token: how firmly each looks at something, and at what. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { GazeView } from "@/api/generated/types.gen";
import { percentOf } from "@/inside/certainty";
import type { Head } from "@/inside/head-picker";
import { gazeQuery, type Subject } from "@/inside/queries";
import { useSettled } from "@/inside/settled";
import type { Spelled } from "@/inside/spelling";
import { useFormats } from "@/ui/formats";
import { Loaded } from "@/ui/load";

interface HeadMapProps {
  subject: Subject;
  tokens: readonly Spelled[];
  position: number;
  chosen: Head;
  onChoose: (head: Head) => void;
}

export function HeadMap({ subject, tokens, position, chosen, onChoose }: HeadMapProps) {
  const { t } = useTranslation();
  const query = useQuery(gazeQuery(subject, useSettled(position)));
  return (
    <>
      <p className="mb-3 text-xs text-soft">{t("inside.headMapHint")}</p>
      <Loaded query={query}>
        {(layers) => <Map layers={layers} tokens={tokens} chosen={chosen} onChoose={onChoose} />}
      </Loaded>
    </>
  );
}

interface MapProps extends Pick<HeadMapProps, "tokens" | "chosen" | "onChoose"> {
  layers: readonly (readonly GazeView[])[];
}

/** A picture for the pointer: with the keyboard, a head is chosen by its layer and number above. */
function Map({ layers, tokens, chosen, onChoose }: MapProps) {
  const { t } = useTranslation();
  const formats = useFormats();
  const [pointed, setPointed] = useState<Head | null>(null);
  const told = pointed ?? chosen;
  const gaze = layers[told.layer]?.[told.head];
  const target = gaze && tokens[gaze.position];
  const heads = layers[0]?.length ?? 0;
  return (
    <figure onPointerLeave={() => setPointed(null)}>
      <svg
        viewBox={`0 0 ${heads} ${layers.length}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={t("inside.headMap")}
        className="w-full rounded-lg border border-line bg-sunken"
        style={{ height: `${Math.min(layers.length * 0.75, 26)}rem` }}
      >
        {layers.map((row, layer) =>
          row.map((each, head) => (
            <rect
              key={`${layer}.${head}`}
              x={head + 0.04}
              y={layer + 0.06}
              width={0.92}
              height={0.88}
              className={`cursor-pointer fill-accent hover:stroke-ink ${layer === chosen.layer && head === chosen.head ? "stroke-ink" : ""}`}
              fillOpacity={0.04 + 0.96 * each.weight}
              strokeWidth={2}
              vectorEffect="non-scaling-stroke"
              onPointerEnter={() => setPointed({ layer, head })}
              onClick={() => onChoose({ layer, head })}
            />
          )),
        )}
      </svg>
      {gaze && target && (
        <figcaption className="mt-2 text-xs text-soft">
          {t("inside.gaze", {
            layer: told.layer + 1,
            head: told.head + 1,
            token: target.label,
            weight: percentOf(gaze.weight, formats),
            rest: percentOf(gaze.rest, formats),
          })}
        </figcaption>
      )}
    </figure>
  );
}
