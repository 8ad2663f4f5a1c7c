import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import type { PageSearchHit, SearchHit } from "@/api/generated/types.gen";
import { request } from "@/api/http";

const PAUSE_MS = 200;

interface Search {
  hits: SearchHit[];
  /** Whether the hits are not yet those of what is written. */
  waiting: boolean;
  failed: boolean;
}

/** Conversations and messages that hold the words, once the writing pauses. */
export function useSearchHits(words: string): Search {
  const [asked, setAsked] = useState(words);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(words), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [words]);
  const { data, isFetching, isError } = useQuery({
    queryKey: ["search", asked],
    queryFn: ({ signal }) =>
      request<PageSearchHit>("/api/conversations/search", { query: { q: asked, limit: 30 }, signal }),
    enabled: asked !== "",
    placeholderData: keepPreviousData,
    staleTime: 5_000,
  });
  return {
    hits: words === "" ? [] : (data?.data ?? []),
    waiting: words !== "" && (isFetching || words !== asked),
    failed: isError,
  };
}
