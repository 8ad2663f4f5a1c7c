import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";

import { heatColour, heatOf, percentOf, strongest } from "@/inside/certainty";
import { Bars } from "@/inside/bars";
import { Disclosure } from "@/inside/disclosure";
import { Halves } from "@/inside/halves";
import { HeadMap } from "@/inside/head-map";
import { HeadPicker, type Head } from "@/inside/head-picker";
import type { TabProps } from "@/inside/inside-dialog";
import { attentionQuery } from "@/inside/queries";
import { useSettled } from "@/inside/settled";
import { TokenText } from "@/inside/token-text";
import { SwitchField } from "@/ui/form";
import { useFormats } from "@/ui/formats";
import { Loaded } from "@/ui/load";

/** Where a head looked when the model read a token: the whole text, warm where it looked. */
export function AttentionTab({ subject, view, tokens, position, onPosition }: TabProps) {
  const { t } = useTranslation();
  const formats = useFormats();
  const [head, setHead] = useState<Head>({ layer: Math.floor(view.num_layers / 2), head: 0 });
  const [withoutFirst, setWithoutFirst] = useState(true);
  const settled = useSettled(head);
  const query = useQuery(attentionQuery(subject, settled.layer, settled.head, useSettled(position)));
  const row = query.data?.rows[position - query.data.first];
  const heat = useMemo(() => (row ? heatOf(row, withoutFirst) : []), [row, withoutFirst]);
  const looking = tokens[position];
  return (
    <Halves
      label={t("inside.details")}
      text={
        <TokenText
          tokens={tokens}
          label={t("inside.allTokens")}
          selected={position}
          onSelect={onPosition}
          lookOf={({ position: at }) => ({
            // What follows the token that looks cannot be seen from it.
            ...(at > position ? { className: "text-soft" } : {}),
            ...(heatColour(heat[at] ?? 0) ? { style: { backgroundColor: heatColour(heat[at] ?? 0) } } : {}),
          })}
          nameOf={({ label, position: at }) =>
            row?.[at] === undefined ? label : `${label}, ${percentOf(row[at], formats)}`
          }
        />
      }
      details={
        <div className="flex flex-col gap-4">
          <p className="text-sm text-soft">{t("inside.attentionHint")}</p>
          <HeadPicker layers={view.num_layers} heads={view.num_heads} chosen={head} onChoose={setHead} />
          <SwitchField
            label={t("inside.withoutFirst")}
            hint={t("inside.withoutFirstHint")}
            checked={withoutFirst}
            onChange={setWithoutFirst}
          />
          <div>
            <h3 className="mb-2 text-sm font-medium">{t("inside.looksAt", { token: looking?.label ?? "" })}</h3>
            <Loaded query={query}>
              {() => (
                <Bars
                  label={t("inside.weights")}
                  bars={strongest(row ?? [], 6, withoutFirst).map((at) => ({
                    key: String(at),
                    label: tokens[at]?.label ?? "",
                    value: row?.[at] ?? 0,
                    told: percentOf(row?.[at] ?? 0, formats),
                    marked: at === position,
                    onSelect: () => onPosition(at),
                  }))}
                />
              )}
            </Loaded>
          </div>
          <Disclosure part="heads" title={t("inside.headMap")}>
            {() => <HeadMap subject={subject} tokens={tokens} position={position} chosen={head} onChoose={setHead} />}
          </Disclosure>
        </div>
      }
    />
  );
}
