import { keepPreviousData, queryOptions } from "@tanstack/react-query";

import type { ContextView } from "@/api/generated/types.gen";
import { request } from "@/api/http";

/** How full the model's context is with the branch that ends in `leafId`. */
export const contextQuery = (conversationId: string, leafId: string) =>
  queryOptions({
    queryKey: ["context", conversationId, leafId],
    queryFn: ({ signal }) =>
      request<ContextView>(`/api/conversations/${conversationId}/context`, { query: { leaf_id: leafId }, signal }),
    placeholderData: keepPreviousData,
  });
