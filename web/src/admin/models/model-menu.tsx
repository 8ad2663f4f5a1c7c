import { EllipsisVertical } from "lucide-react";
import { useTranslation } from "react-i18next";

import { MODEL_LISTS, modelPath } from "@/admin/models/queries";
import { useChange } from "@/api/change";
import type { ModelInfo } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { confirm } from "@/ui/confirm";
import { Menu, MenuItem, MenuSeparator } from "@/ui/menu";

type Deed = "load" | "unload" | "default";

/** What can be done to a model. */
export function ModelMenu({ model }: { model: ModelInfo }) {
  const { t } = useTranslation();
  const path = modelPath(model.name);
  const after = { stale: MODEL_LISTS };
  const act = useChange<ModelInfo, Deed>((deed) => request(`${path}/${deed}`, { method: "POST", body: {} }), {
    ...after,
    told: t("admin.models.done"),
  });
  const change = useChange<ModelInfo, boolean>(
    (enabled) => request(path, { method: "PATCH", body: { enabled } }),
    after,
  );
  const remove = useChange(() => request<undefined>(path, { method: "DELETE" }), {
    ...after,
    told: t("admin.models.removed"),
  });
  const askToRemove = async () => {
    const title = t("admin.models.removeOf", { name: model.name });
    const text = model.owner_id ? t("admin.models.removeOwnHint") : t("admin.models.removeHint");
    if (await confirm({ title, text, action: t("admin.models.remove") })) remove.mutate();
  };
  const askToPromote = async () => {
    const title = t("admin.models.promoteOf", { name: model.name });
    const action = t("admin.models.promote");
    if (await confirm({ title, text: t("admin.models.promoteHint"), action })) act.mutate("default");
  };
  const busy = act.isPending || change.isPending || remove.isPending;
  const isLocal = model.kind === "local";
  return (
    <Menu
      trigger={
        <Button look="plain" size="icon" disabled={busy} aria-label={t("admin.models.menuOf", { name: model.name })}>
          <EllipsisVertical className="size-5" aria-hidden />
        </Button>
      }
    >
      {isLocal && model.state !== "ready" && (
        <MenuItem onSelect={() => act.mutate("load")}>{t("admin.models.load")}</MenuItem>
      )}
      {isLocal && model.state === "ready" && (
        <MenuItem onSelect={() => act.mutate("unload")}>{t("admin.models.unload")}</MenuItem>
      )}
      <MenuItem
        disabled={model.is_default || !model.enabled || model.owner_id !== null}
        onSelect={() => void askToPromote()}
      >
        {t("admin.models.promote")}
      </MenuItem>
      {!model.is_fixed && (
        <>
          <MenuItem onSelect={() => change.mutate(!model.enabled)}>
            {model.enabled ? t("admin.models.switchOff") : t("admin.models.switchOn")}
          </MenuItem>
          <MenuSeparator />
          <MenuItem danger onSelect={() => void askToRemove()}>
            {t("admin.models.remove")}
          </MenuItem>
        </>
      )}
    </Menu>
  );
}
