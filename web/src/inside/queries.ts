/** What the server finds out about an answer; each question is asked once, since the answer does not change. */

import { queryOptions } from "@tanstack/react-query";

import type {
  AttentionView,
  GazeView,
  InsideTopics,
  InsideView,
  MessageView,
  PlaceView,
} from "@/api/generated/types.gen";
import { request } from "@/api/http";

/** Rows of attention that are asked for at once: neighbours of a token are often looked at next. */
export const ROWS = 64;

const kept = { staleTime: Infinity, gcTime: 600_000, retry: false } as const;

/** An answer, which may grow when it is continued: what was found out of a shorter one is of no use then. */
export type Subject = readonly [id: string, length: number];

export const subjectOf = ({ id, content, reasoning }: MessageView): Subject => [id, content.length + reasoning.length];

function look([id]: Subject, topics: InsideTopics, signal: AbortSignal): Promise<InsideView> {
  return request<InsideView>(`/api/messages/${id}/inside`, { method: "POST", body: topics, signal });
}

function found<T>(topic: T | null): T {
  if (topic === null) throw new Error("the server left out what it was asked for");
  return topic;
}

export const insideQuery = (subject: Subject) =>
  queryOptions({
    queryKey: ["inside", ...subject],
    queryFn: ({ signal }) => look(subject, { tokens: true }, signal),
    ...kept,
  });

/** What each layer would have said in place of the token at `position`. */
export const lensQuery = (subject: Subject, position: number) =>
  queryOptions({
    queryKey: ["inside", ...subject, "lens", position],
    queryFn: async ({ signal }): Promise<PlaceView[]> =>
      found((await look(subject, { tokens: false, lens: { position } }, signal)).lens),
    ...kept,
  });

/** The weights of one head for the token at `position` and its neighbours. */
export const attentionQuery = (subject: Subject, layer: number, head: number, position: number) => {
  const first = Math.floor(position / ROWS) * ROWS;
  return queryOptions({
    queryKey: ["inside", ...subject, "attention", layer, head, first],
    queryFn: async ({ signal }): Promise<AttentionView> =>
      found((await look(subject, { tokens: false, attention: { layer, head, first, count: ROWS } }, signal)).attention),
    ...kept,
  });
};

/** Where every head looks from the token at `position`. */
export const gazeQuery = (subject: Subject, position: number) =>
  queryOptions({
    queryKey: ["inside", ...subject, "gaze", position],
    queryFn: async ({ signal }): Promise<GazeView[][]> =>
      found((await look(subject, { tokens: false, gaze: { position } }, signal)).gaze),
    ...kept,
  });
