import { CloudOff } from "lucide-react";
import { useTranslation } from "react-i18next";

import { useConnection } from "@/app/connection";

/** Says that the server cannot be reached. */
export function OfflineBanner() {
  const { t } = useTranslation();
  const reachable = useConnection((state) => state.reachable);
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
