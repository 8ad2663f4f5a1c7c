import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { EvaluationTable } from "@/admin/evaluation-table";
import type { Evaluations } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { useFormats } from "@/ui/formats";
import { Empty, Loaded } from "@/ui/load";
import { Panel } from "@/ui/panel";

const AT_FIRST = 3;

export function EvaluationsSection() {
  const { t } = useTranslation();
  const query = useQuery({
    queryKey: ["admin", "evaluations"],
    queryFn: ({ signal }) => request<Evaluations>("/api/admin/evaluations", { signal }),
  });
  return (
    <Loaded query={query}>
      {(found) =>
        found.data.length === 0 ? (
          <Panel title={t("admin.evaluations.title")}>
            <Empty>
              <p>{t("admin.evaluations.none")}</p>
              <code className="mt-3 block rounded-lg bg-sunken px-3 py-2 text-left text-xs wrap-anywhere text-ink">
                chatwright eval MODEL --tasks arc_easy,gsm8k --out {found.folder}/NAME
              </code>
            </Empty>
          </Panel>
        ) : (
          <SideBySide found={found} />
        )
      }
    </Loaded>
  );
}

function SideBySide({ found }: { found: Evaluations }) {
  const { t } = useTranslation();
  const { dayAndTime, compact } = useFormats();
  const [chosen, setChosen] = useState<readonly string[]>(() => found.data.slice(0, AT_FIRST).map(({ id }) => id));
  // The oldest stands at the left: what came later is compared with it.
  const shown = found.data.filter(({ id }) => chosen.includes(id)).toReversed();
  return (
    <>
      <Panel title={t("admin.evaluations.reports")} description={t("admin.evaluations.choose")}>
        <ul className="flex max-h-72 flex-col overflow-y-auto">
          {found.data.map(({ id, model, created }) => (
            <li key={id}>
              <label className="flex min-h-10 cursor-pointer items-center gap-3 rounded-lg px-2 text-sm hover:bg-hover">
                <input
                  type="checkbox"
                  className="size-4 shrink-0 accent-accent"
                  checked={chosen.includes(id)}
                  onChange={(event) =>
                    setChosen(event.target.checked ? [...chosen, id] : chosen.filter((other) => other !== id))
                  }
                />
                <span className="min-w-0 grow wrap-anywhere">
                  {id} <span className="text-soft">{model.name}</span>
                  {typeof model.parameters === "number" && (
                    <span className="text-soft"> · {compact(model.parameters)}</span>
                  )}
                </span>
                <span className="shrink-0 text-soft max-sm:hidden">{dayAndTime(Date.parse(created))}</span>
              </label>
            </li>
          ))}
        </ul>
      </Panel>
      <Panel title={t("admin.evaluations.sideBySide")} description={t("admin.evaluations.intervals")}>
        {shown.length === 0 ? <Empty>{t("admin.evaluations.choose")}</Empty> : <EvaluationTable reports={shown} />}
      </Panel>
    </>
  );
}
