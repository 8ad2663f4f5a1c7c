import { useQueryClient } from "@tanstack/react-query";
import { CloudOff } from "lucide-react";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";

import { useConnection, watchConnection } from "@/app/connection";

/** Says that the server cannot be reached; when it can again, what is shown is asked for anew. */
export function OfflineBanner() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const reachable = useConnection((state) => state.reachable);
  useEffect(() => watchConnection(() => void queries.invalidateQueries()), [queries]);
  return (
    <div role="status">
      {!reachable && (
        <p className="flex items-center justify-center gap-2 bg-warning-soft px-4 py-2 text-sm text-warning">
          <CloudOff className="size-4 shrink-0" aria-hidden />
          {t("app.offlineBanner")}
        </p>
      )}
    </div>
  );
}
