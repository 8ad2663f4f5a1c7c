import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";

import type { PageShareView, SharedView, ShareView } from "@/api/generated/types.gen";
import { request } from "@/api/http";

/** One's own links to a conversation that work, newest first. */
export const sharesQuery = (conversationId: string) =>
  infiniteQueryOptions({
    queryKey: ["shares", conversationId],
    queryFn: ({ pageParam, signal }) =>
      request<PageShareView>("/api/shares", { query: { conversation_id: conversationId, after: pageParam }, signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });

/** What a link shows, to whoever has it. */
export const sharedQuery = (token: string) =>
  queryOptions({
    queryKey: ["shared", token],
    queryFn: ({ signal }) => request<SharedView>(`/api/shared/${encodeURIComponent(token)}`, { signal }),
    staleTime: Infinity, // it is as it was when it was shared
  });

export const createShare = (conversationId: string) =>
  request<ShareView>(`/api/conversations/${conversationId}/share`, { method: "POST" });

export const revokeShare = (shareId: string) => request(`/api/shares/${shareId}`, { method: "DELETE" });

export const linkOf = ({ path }: Pick<ShareView, "path">): string => new URL(path, window.location.origin).href;
