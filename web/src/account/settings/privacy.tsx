import { Download } from "lucide-react";
import { useTranslation } from "react-i18next";

import { DeleteAccount } from "@/account/settings/delete-account";
import { DeleteConversations } from "@/account/settings/delete-conversations";
import { useChangeMe } from "@/account/settings/me";
import type { Me } from "@/api/generated/types.gen";
import { Button } from "@/ui/button";
import { SwitchField } from "@/ui/form";
import { Panel } from "@/ui/panel";

export function PrivacySection({ me }: { me: Me }) {
  const { t } = useTranslation();
  const change = useChangeMe();
  return (
    <>
      <Panel title={t("settings.privacy.training")}>
        <SwitchField
          label={t("settings.privacy.consent")}
          hint={t("settings.privacy.consentHint")}
          checked={me.training_consent}
          onChange={(training_consent) => change.mutate({ training_consent })}
          disabled={change.isPending}
        />
      </Panel>
      <Panel
        title={t("settings.privacy.everything")}
        description={t("settings.privacy.everythingHint")}
        actions={
          <Button asChild>
            <a href="/api/me/export" download>
              <Download className="size-4" aria-hidden />
              {t("settings.data.download")}
            </a>
          </Button>
        }
      />
      <DeleteConversations />
      {me.channel !== "local" && <DeleteAccount me={me} />}
    </>
  );
}
