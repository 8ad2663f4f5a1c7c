import { clsx } from "clsx";
import { useTranslation } from "react-i18next";

import { comparedWith, lines, type Verdict } from "@/admin/comparison";
import type { EvaluationInfo, FigureInfo } from "@/api/generated/types.gen";
import { useFormats } from "@/ui/formats";

const LOOKS: Record<Verdict, string> = { better: "text-accent", worse: "text-danger", same: "text-ink" };

/** Figures of several reports beside each other; the first report is what the others are compared with. */
export function EvaluationTable({ reports }: { reports: readonly EvaluationInfo[] }) {
  const { t } = useTranslation();
  const [first] = reports;
  return (
    <div className="relative overflow-x-auto" tabIndex={0} role="group" aria-label={t("admin.evaluations.sideBySide")}>
      <table className="w-full text-sm">
        <caption className="sr-only">{t("admin.evaluations.sideBySide")}</caption>
        <thead>
          <tr className="border-b border-line align-bottom">
            <th scope="col" className="sticky left-0 bg-raised py-2 pr-4 text-left font-medium text-soft">
              {t("admin.evaluations.task")}
            </th>
            {reports.map((report) => (
              <th key={report.id} scope="col" className="max-w-48 min-w-32 px-3 py-2 text-right font-medium">
                <span className="block wrap-anywhere">{report.id}</span>
                <span className="block text-xs font-normal wrap-anywhere text-soft">{report.model.name}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {lines(reports).map(({ task, figure }) => (
            <tr key={`${task} ${figure}`} className="border-b border-line last:border-0">
              <th scope="row" className="sticky left-0 min-w-28 max-w-40 bg-raised py-2 pr-4 text-left font-normal">
                <span className="block font-medium wrap-anywhere">{task}</span>
                <span className="text-xs text-soft">{figure}</span>
              </th>
              {reports.map((report) => (
                <td key={report.id} className="px-3 py-2 text-right tabular-nums">
                  <Value
                    name={figure}
                    figure={report.tasks[task]?.figures[figure]}
                    base={report === first ? undefined : first?.tasks[task]?.figures[figure]}
                    n={report.tasks[task]?.n}
                  />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface ValueProps {
  name: string;
  figure: FigureInfo | undefined;
  base: FigureInfo | undefined;
  n: number | undefined;
}

function Value({ name, figure, base, n }: ValueProps) {
  const { t } = useTranslation();
  const { number } = useFormats();
  if (!figure) return <span className="text-soft">–</span>;
  const verdict = base ? comparedWith(base, figure, name) : "same";
  return (
    <>
      <span className={clsx("block font-medium", LOOKS[verdict])}>
        {number(figure.value, 3)}
        {verdict !== "same" && (
          <>
            <span aria-hidden> {verdict === "better" ? "▲" : "▼"}</span>
            <span className="sr-only"> {t(`admin.evaluations.${verdict}`)}</span>
          </>
        )}
      </span>
      <span className="block text-xs whitespace-nowrap text-soft">
        [{number(figure.low, 3)}, {number(figure.high, 3)}]{n !== undefined && ` · n = ${number(n)}`}
      </span>
    </>
  );
}
