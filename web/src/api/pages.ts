/** Lists that the server gives in pages. */

import { useInfiniteQuery, type QueryKey } from "@tanstack/react-query";

import { request } from "@/api/http";

interface Page<Row> {
  data: Row[];
  next: string | null;
}

export interface Rows<Row> {
  rows: Row[];
  /** The first page is not there yet. */
  isPending: boolean;
  /** Why there is no first page. */
  error: Error | null;
  retry: () => void;
  /** Ask for the next page; null where there is none. */
  more: (() => void) | null;
  isLoadingMore: boolean;
}

/** All pages of a list that were asked for so far. */
export function useRows<Row>(
  queryKey: QueryKey,
  path: string,
  query: Record<string, string | number | boolean | null | undefined> = {},
): Rows<Row> {
  const found = useInfiniteQuery({
    queryKey: [...queryKey, query],
    queryFn: ({ pageParam, signal }) =>
      request<Page<Row>>(path, { query: { ...query, after: pageParam, limit: 50 }, signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next,
  });
  return {
    rows: found.data?.pages.flatMap((page) => page.data) ?? [],
    isPending: found.isPending,
    error: found.data === undefined ? found.error : null,
    retry: () => void found.refetch(),
    more: found.hasNextPage ? () => void found.fetchNextPage() : null,
    isLoadingMore: found.isFetchingNextPage,
  };
}
