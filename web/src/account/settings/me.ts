import { useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import { useChange } from "@/api/change";
import type { Me, MeChanges } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { meQuery } from "@/api/session";

/** Change the caller's own account; what the server made of it is shown everywhere at once. */
export function useChangeMe() {
  const queries = useQueryClient();
  const { t } = useTranslation();
  return useChange<Me, MeChanges>((body) => request<Me>("/api/me", { method: "PATCH", body }), {
    told: t("settings.saved"),
    onDone: (me) => queries.setQueryData(meQuery.queryKey, me),
  });
}
