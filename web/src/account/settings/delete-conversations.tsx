import { useTranslation } from "react-i18next";

import { useChange } from "@/api/change";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { confirm } from "@/ui/confirm";
import { Panel } from "@/ui/panel";

export function DeleteConversations() {
  const { t } = useTranslation();
  const remove = useChange(() => request<unknown>("/api/conversations", { method: "DELETE" }), {
    stale: [["conversations"], ["conversation"], ["messages"], ["shares"]],
    told: t("settings.privacy.conversationsDeleted"),
  });
  const ask = async () => {
    const action = t("settings.privacy.deleteConversations");
    if (await confirm({ title: action, text: t("settings.privacy.conversationsHint"), action })) remove.mutate();
  };
  return (
    <Panel
      danger
      title={t("settings.privacy.conversations")}
      description={t("settings.privacy.conversationsHint")}
      actions={
        <Button look="danger" onClick={() => void ask()} disabled={remove.isPending}>
          {t("settings.privacy.deleteConversations")}
        </Button>
      }
    />
  );
}
