import { useState } from "react";
import { useTranslation } from "react-i18next";

import { MODEL_LISTS } from "@/admin/models/queries";
import { useChange } from "@/api/change";
import type { UpstreamChanges, UpstreamInfo } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Dialog } from "@/ui/dialog";
import { SwitchField, TextField } from "@/ui/form";
import { FormButtons } from "@/ui/form-buttons";

/** Another server with OpenAI's API: a new one, or changes of one that is known. */
export function UpstreamForm({ upstream, onClose }: { upstream: UpstreamInfo | null; onClose: () => void }) {
  const { t } = useTranslation();
  const [name, setName] = useState(upstream?.name ?? "");
  const [address, setAddress] = useState(upstream?.base_url ?? "");
  const [key, setKey] = useState("");
  const [enabled, setEnabled] = useState(upstream?.enabled ?? true);
  const [isPrivate, setPrivate] = useState(upstream?.allow_private ?? false);
  const save = useChange<UpstreamInfo, UpstreamChanges>(
    (body) =>
      upstream
        ? request(`/api/admin/upstreams/${upstream.id}`, { method: "PATCH", body })
        : request("/api/admin/upstreams", { method: "POST", body }),
    { stale: [["admin", "upstreams"], ...MODEL_LISTS], told: t("settings.saved"), quiet: true, onDone: onClose },
  );
  return (
    <Dialog open onOpenChange={onClose} title={upstream?.name ?? t("admin.upstreams.new")}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate({ name, base_url: address, enabled, allow_private: isPrivate, ...(key ? { api_key: key } : {}) });
        }}
      >
        <TextField
          label={t("admin.upstreams.name")}
          value={name}
          onChange={(event) => setName(event.target.value)}
          autoComplete="off"
          autoFocus
          required
        />
        <TextField
          type="url"
          label={t("admin.upstreams.address")}
          placeholder="https://example.org/v1"
          error={save.error?.message}
          value={address}
          onChange={(event) => setAddress(event.target.value)}
          required
        />
        <TextField
          type="password"
          label={t("admin.upstreams.key")}
          hint={upstream?.has_key ? t("admin.upstreams.keepKey") : t("admin.upstreams.keyHint")}
          value={key}
          onChange={(event) => setKey(event.target.value)}
          autoComplete="off"
        />
        <SwitchField
          label={t("admin.upstreams.private")}
          hint={t("admin.upstreams.privateHint")}
          checked={isPrivate}
          onChange={setPrivate}
        />
        <SwitchField label={t("admin.upstreams.enabled")} checked={enabled} onChange={setEnabled} />
        <FormButtons
          action={t("common.save")}
          disabled={save.isPending || !name.trim() || !address.trim()}
          onCancel={onClose}
        />
      </form>
    </Dialog>
  );
}
