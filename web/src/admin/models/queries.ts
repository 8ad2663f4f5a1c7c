import { queryOptions } from "@tanstack/react-query";

import type { ModelInfo, PageModelInfo, PagePromotionInfo, PageUpstreamInfo } from "@/api/generated/types.gen";
import { request } from "@/api/http";

export const modelsQuery = queryOptions({
  queryKey: ["admin", "models"],
  queryFn: ({ signal }) => request<PageModelInfo>("/api/admin/models", { signal }),
  // A model that loads is looked at until it is there.
  refetchInterval: ({ state }) => (state.data?.data.some((model) => model.state === "loading") ? 2000 : false),
});

export const promotionsQuery = queryOptions({
  queryKey: ["admin", "promotions"],
  queryFn: ({ signal }) => request<PagePromotionInfo>("/api/admin/promotions", { signal }),
});

export const upstreamsQuery = queryOptions({
  queryKey: ["admin", "upstreams"],
  queryFn: ({ signal }) => request<PageUpstreamInfo>("/api/admin/upstreams", { signal }),
});

/** What is not right any more when the models change. */
export const MODEL_LISTS = [["admin", "models"], ["admin", "promotions"], ["admin", "settings"], ["models"]] as const;

/** Names may hold slashes, which stay as they are; everything else is written for a path. */
export function modelPath(name: string): string {
  return `/api/admin/models/${name.split("/").map(encodeURIComponent).join("/")}`;
}

/** From a model to what it was made of, the oldest last; stops where it would turn in a circle. */
export function lineage(model: ModelInfo, models: readonly ModelInfo[]): string[] {
  const line: string[] = [];
  let parent = model.parent;
  while (parent && !line.includes(parent) && parent !== model.name) {
    line.push(parent);
    const name = parent;
    parent = models.find((other) => other.name === name)?.parent ?? null;
  }
  return line;
}
