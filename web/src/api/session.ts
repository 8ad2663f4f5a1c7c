/** Who is signed in, and what kind of server this is. */

import { queryOptions } from "@tanstack/react-query";

import type { Me, Setup } from "@/api/generated/types.gen";
import { ApiError, request } from "@/api/http";

export const setupQuery = queryOptions({
  queryKey: ["setup"],
  queryFn: () => request<Setup>("/api/setup"),
  staleTime: 300_000,
});

/** The account, or null for nobody. */
export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: async (): Promise<Me | null> => {
    try {
      return await request<Me>("/api/me");
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 300_000,
});
