import { useQuery } from "@tanstack/react-query";

import type { PageUserInfo } from "@/api/generated/types.gen";
import { request } from "@/api/http";

/** The name of an account by its id; of one that is gone, or far down a long list, the id. */
export function useUserNames(): (id: string) => string {
  const { data } = useQuery({
    queryKey: ["admin", "user-names"],
    queryFn: async ({ signal }) => {
      const page = await request<PageUserInfo>("/api/admin/users", { query: { limit: 200 }, signal });
      return new Map(page.data.map((user) => [user.id, user.name]));
    },
  });
  return (id) => data?.get(id) ?? id;
}
