import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ArrowLeft } from "lucide-react";
import { useTranslation } from "react-i18next";

import { progress } from "@/admin/jobs/curves";
import { JobButtons } from "@/admin/jobs/job-buttons";
import { JobCurves } from "@/admin/jobs/job-curves";
import { JobSamples } from "@/admin/jobs/job-samples";
import { eventsQuery, isActive, jobQuery, TONES } from "@/admin/jobs/queries";
import type { EventObject, OwnedJob } from "@/api/generated/types.gen";
import { Button } from "@/ui/button";
import { useFormats } from "@/ui/formats";
import { Loaded } from "@/ui/load";
import { Badge, Panel } from "@/ui/panel";

export function JobPage({ id }: { id: string }) {
  const { t } = useTranslation();
  const query = useQuery(jobQuery(id));
  return (
    <>
      <Button look="plain" size="small" className="self-start" asChild>
        <Link to="/admin/$" params={{ _splat: "jobs" }}>
          <ArrowLeft className="size-4" aria-hidden />
          {t("admin.jobs.all")}
        </Link>
      </Button>
      <Loaded query={query}>{(job) => <Job job={job} />}</Loaded>
    </>
  );
}

function Job({ job }: { job: OwnedJob }) {
  const { t } = useTranslation();
  const events = useQuery(eventsQuery(job.id, isActive(job.status)));
  return (
    <>
      <Panel title={job.user_provided_suffix ?? job.id} actions={<JobButtons job={job} />}>
        <Facts job={job} events={events.data ?? []} />
      </Panel>
      <Panel title={t("admin.jobs.curves")}>
        <Loaded query={events}>{(data) => <JobCurves events={data} />}</Loaded>
      </Panel>
      <JobSamples job={job} />
      <Panel title={t("admin.jobs.events")}>
        <Loaded query={events}>{(data) => <Events events={data} />}</Loaded>
      </Panel>
    </>
  );
}

function Facts({ job, events }: { job: OwnedJob; events: readonly EventObject[] }) {
  const { t } = useTranslation();
  const { dayAndTime, number } = useFormats();
  const done = progress(events);
  const settings = Object.entries(job.hyperparameters).map(([name, value]) => `${name}: ${String(value)}`);
  const facts: [string, string | null][] = [
    [t("usage.user"), job.user_name],
    [t("admin.jobs.base"), job.model],
    [t("admin.jobs.method"), String(job.method.type)],
    [t("admin.jobs.result"), job.fine_tuned_model],
    [t("admin.jobs.created"), dayAndTime(job.created_at * 1000)],
    [t("admin.jobs.finished"), job.finished_at === null ? null : dayAndTime(job.finished_at * 1000)],
    [t("admin.jobs.estimated"), job.estimated_finish === null ? null : dayAndTime(job.estimated_finish * 1000)],
    [t("admin.jobs.tokens"), job.trained_tokens === null ? null : number(job.trained_tokens)],
    [t("admin.jobs.settings"), settings.join(", ") || null],
  ];
  return (
    <div className="flex flex-col gap-4 text-sm">
      <div className="flex flex-wrap items-center gap-3">
        <Badge tone={TONES[job.status]}>{t(`admin.jobs.states.${job.status}`)}</Badge>
        {done && (
          <>
            <progress
              aria-label={t("admin.jobs.progress")}
              value={done.step}
              max={done.total}
              className="h-2 min-w-32 grow appearance-none overflow-hidden rounded-full bg-hover [&::-moz-progress-bar]:bg-accent [&::-webkit-progress-bar]:bg-hover [&::-webkit-progress-value]:bg-accent"
            />
            <span className="tabular-nums">
              {t("admin.jobs.step", { step: number(done.step), total: number(done.total) })}
            </span>
          </>
        )}
      </div>
      {job.error && <p className="rounded-lg bg-danger-soft px-3 py-2 text-danger">{job.error.message}</p>}
      <dl className="grid gap-3 sm:grid-cols-2 lg:grid-cols-3">
        {facts.map(
          ([term, fact]) =>
            fact && (
              <div key={term} className="min-w-0">
                <dt className="text-soft">{term}</dt>
                <dd className="wrap-anywhere">{fact}</dd>
              </div>
            ),
        )}
      </dl>
    </div>
  );
}

const LEVELS = { info: "text-ink", warn: "text-warning", error: "text-danger" } as const;

/** The newest first; the region scrolls by itself, so that it can be reached by keyboard. */
function Events({ events }: { events: readonly EventObject[] }) {
  const { t } = useTranslation();
  const { dayAndTime } = useFormats();
  return (
    <div className="max-h-96 overflow-y-auto" tabIndex={0} role="group" aria-label={t("admin.jobs.events")}>
      <ol className="flex flex-col gap-1.5 font-mono text-xs">
        {events.slice(0, 300).map((event) => (
          <li key={event.id} className={`flex flex-wrap gap-x-4 ${LEVELS[event.level]}`}>
            <span className="text-soft">{dayAndTime(event.created_at * 1000)}</span>
            <span className="wrap-anywhere">{event.message}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}
