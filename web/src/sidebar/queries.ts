/** The list of conversations, and the folders, as the server keeps them. */

import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";

import type { FolderView, PageFolderView, PageListedConversation } from "@/api/generated/types.gen";
import { request } from "@/api/http";

/** Which conversations: those in a folder, those that were put away, or what is left. */
export type Filter = { folderId: string } | { archived: true } | { archived: false };

const PAGE_SIZE = 50;

export const conversationsQuery = (filter: Filter) =>
  infiniteQueryOptions({
    queryKey: ["conversations", filter] as const,
    queryFn: ({ pageParam, signal }) =>
      request<PageListedConversation>("/api/conversations", {
        query: {
          ...("folderId" in filter
            ? { folder_id: filter.folderId }
            : { archived: filter.archived, outside_folders: !filter.archived }),
          utc_offset_minutes: -new Date().getTimezoneOffset(),
          after: pageParam,
          limit: PAGE_SIZE,
        },
        signal,
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });

export const foldersQuery = queryOptions({
  queryKey: ["folders"],
  queryFn: async (): Promise<FolderView[]> => (await request<PageFolderView>("/api/folders")).data,
});
