import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import { isActive, samplesQuery } from "@/admin/jobs/queries";
import { bySteps } from "@/admin/jobs/samples";
import type { JobSample, OwnedJob } from "@/api/generated/types.gen";
import { useFormats } from "@/ui/formats";
import { Empty, Loaded } from "@/ui/load";
import { Panel } from "@/ui/panel";

/** Numbers alone do not tell whether a model speaks: what it answers to the same questions, the newest first. */
export function JobSamples({ job }: { job: OwnedJob }) {
  const { t } = useTranslation();
  const query = useQuery(samplesQuery(job.id, isActive(job.status)));
  return (
    <Panel title={t("admin.jobs.samples")} description={t("admin.jobs.samplesHint")}>
      <Loaded query={query}>
        {({ data, may_read: mayRead }) =>
          data.length > 0 ? (
            <Samples samples={data} />
          ) : (
            <Empty>{t(mayRead ? "admin.jobs.noSamples" : "admin.jobs.samplesHidden")}</Empty>
          )
        }
      </Loaded>
    </Panel>
  );
}

/** The region scrolls by itself, so that it can be reached by keyboard. */
function Samples({ samples }: { samples: readonly JobSample[] }) {
  const { t } = useTranslation();
  const { number } = useFormats();
  return (
    <div
      className="flex max-h-128 flex-col gap-5 overflow-y-auto text-sm"
      tabIndex={0}
      role="group"
      aria-label={t("admin.jobs.samples")}
    >
      {bySteps(samples).map(({ step, samples: own }) => (
        <section key={step} className="flex flex-col gap-2">
          <h3 className="font-medium tabular-nums">{t("admin.jobs.afterStep", { step: number(step) })}</h3>
          <ul className="flex flex-col gap-2">
            {own.map(({ prompt, answer }) => (
              <li key={prompt} className="flex flex-col gap-1 rounded-lg bg-sunken px-3 py-2">
                <p dir="auto" className="wrap-anywhere whitespace-pre-wrap text-soft">
                  <span className="sr-only">{t("admin.jobs.asked")} </span>
                  {prompt}
                </p>
                <p dir="auto" className="wrap-anywhere whitespace-pre-wrap">
                  <span className="sr-only">{t("admin.jobs.answered")} </span>
                  {answer || <span className="text-soft">{t("admin.jobs.noAnswer")}</span>}
                </p>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}
