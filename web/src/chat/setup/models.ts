import { queryOptions } from "@tanstack/react-query";

import type { Models } from "@/api/generated/types.gen";
import { request } from "@/api/http";

/** The models that the caller may use, the default first. */
export const modelsQuery = queryOptions({
  queryKey: ["models"],
  queryFn: async ({ signal }) => (await request<Models>("/v1/models", { signal })).data,
});
