import { KeyRound } from "lucide-react";
import { useTranslation } from "react-i18next";

import { useProvider } from "@/account/enter";
import { Refusal, useWait } from "@/account/refusal";
import { Button } from "@/ui/button";

/** The way in through an identity provider, below the other one. */
export function ProviderButton({ invitation }: { invitation: string | null }) {
  const { t } = useTranslation();
  const provider = useProvider();
  const wait = useWait(provider.error);
  return (
    <div className="mt-5 space-y-4">
      <div className="flex items-center gap-3 text-sm text-soft" aria-hidden>
        <span className="h-px grow bg-line" />
        {t("account.or")}
        <span className="h-px grow bg-line" />
      </div>
      <Refusal error={provider.error} wait={wait} />
      <Button
        className="h-11 w-full"
        disabled={provider.isPending || provider.isSuccess || wait > 0}
        onClick={() => provider.mutate({ invitation })}
      >
        <KeyRound className="size-4" aria-hidden />
        {t("account.withProvider")}
      </Button>
    </div>
  );
}
