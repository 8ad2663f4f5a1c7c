/** Pages of conversations that load as one comes to their end. */

import { useInfiniteQuery, type InfiniteData, type UseInfiniteQueryResult } from "@tanstack/react-query";
import { useEffect, useMemo, useRef } from "react";
import { useTranslation } from "react-i18next";

import type { ListedConversation, PageListedConversation } from "@/api/generated/types.gen";
import { conversationsQuery, type Filter } from "@/sidebar/queries";
import { Button } from "@/ui/button";

type ListQuery = UseInfiniteQueryResult<InfiniteData<PageListedConversation>>;

export function useConversations(filter: Filter): { rows: ListedConversation[]; query: ListQuery } {
  const query = useInfiniteQuery(conversationsQuery(filter));
  const pages = query.data?.pages;
  const rows = useMemo(() => pages?.flatMap((page) => page.data) ?? [], [pages]);
  return { rows, query };
}

/** The end of a list: loads what follows when it comes into view; shows that it loads, or that it could not. */
export function MoreOf({ query }: { query: ListQuery }) {
  const { t } = useTranslation();
  const end = useRef<HTMLDivElement>(null);
  const { hasNextPage, isFetching, isPending, isError, fetchNextPage, refetch } = query;
  const wants = hasNextPage && !isFetching && !isError;
  useEffect(() => {
    const element = end.current;
    if (!element || !wants) return;
    const seen = new IntersectionObserver(([entry]) => entry?.isIntersecting && void fetchNextPage(), {
      rootMargin: "300px",
    });
    seen.observe(element);
    return () => seen.disconnect();
  }, [wants, fetchNextPage]);
  if (isError) {
    return (
      <div className="flex flex-col items-start gap-2 px-2.5 py-2 text-sm text-soft">
        {t("sidebar.failed")}
        <Button size="small" onClick={() => void (query.data && hasNextPage ? fetchNextPage() : refetch())}>
          {t("app.retry")}
        </Button>
      </div>
    );
  }
  if (isPending) return <Bones label={t("app.loading")} />;
  return <div ref={end} className="h-px" />;
}

const WIDTHS = ["w-11/12", "w-2/3", "w-4/5", "w-1/2", "w-3/4"];

/** Where lines will be. */
function Bones({ label }: { label: string }) {
  return (
    <div role="status" className="animate-pulse space-y-4 px-2.5 py-3">
      <span className="sr-only">{label}</span>
      {WIDTHS.map((width) => (
        <div key={width} className={`h-3 rounded bg-hover ${width}`} />
      ))}
    </div>
  );
}
