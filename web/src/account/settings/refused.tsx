import { useTranslation } from "react-i18next";

import { useProvider } from "@/account/enter";
import { ApiError } from "@/api/http";
import { Button } from "@/ui/button";

/** Why the server does not do it; with the way to the identity provider where the person is to prove itself there. */
export function Refused({ error }: { error: Error | null }) {
  const { t } = useTranslation();
  const provider = useProvider();
  if (error === null) return null;
  return (
    <div className="flex flex-wrap items-center justify-between gap-3">
      <p role="alert" className="text-sm text-danger">
        {provider.error instanceof ApiError ? provider.error.message : error.message}
      </p>
      {error instanceof ApiError && error.code === "sign_in_again" && (
        <Button disabled={provider.isPending || provider.isSuccess} onClick={() => provider.mutate({ again: true })}>
          {t("settings.security.signInAgain")}
        </Button>
      )}
    </div>
  );
}
