import { queryOptions } from "@tanstack/react-query";

import type { EventList, EventObject, OwnedJob, SampleList } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import type { Tone } from "@/ui/panel";

export type JobStatus = OwnedJob["status"];

export const TONES: Record<JobStatus, Tone> = {
  validating_files: "plain",
  queued: "plain",
  running: "warning",
  paused: "warning",
  succeeded: "good",
  failed: "bad",
  cancelled: "plain",
};

/** Training goes on, or will: what is shown is looked at again. */
export const isActive = (status: JobStatus) => ["validating_files", "queued", "running"].includes(status);

export const jobQuery = (id: string) =>
  queryOptions({
    queryKey: ["admin", "jobs", id],
    queryFn: ({ signal }) => request<OwnedJob>(`/api/admin/jobs/${id}`, { signal }),
    refetchInterval: ({ state }) => (state.data && !isActive(state.data.status) ? false : 2000),
  });

const MOST_EVENTS = 5000;

/** Everything that happened, the newest first; of the longest trainings the last few thousand events. */
export const eventsQuery = (id: string, active: boolean) =>
  queryOptions({
    queryKey: ["admin", "job-events", id],
    queryFn: async ({ signal }) => {
      const events: EventObject[] = [];
      let page: EventList;
      do {
        const after = events.at(-1)?.id;
        page = await request<EventList>(`/api/admin/jobs/${id}/events`, { query: { limit: 1000, after }, signal });
        events.push(...page.data);
      } while (page.has_more && events.length < MOST_EVENTS);
      return events;
    },
    refetchInterval: active ? 2000 : false,
  });

export const samplesQuery = (id: string, active: boolean) =>
  queryOptions({
    queryKey: ["admin", "job-samples", id],
    queryFn: ({ signal }) => request<SampleList>(`/api/admin/jobs/${id}/samples`, { signal }),
    refetchInterval: active ? 2000 : false,
  });
