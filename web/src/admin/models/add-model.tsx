import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { MODEL_LISTS, upstreamsQuery } from "@/admin/models/queries";
import { useChange } from "@/api/change";
import type { ModelInfo, NewModel } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Dialog } from "@/ui/dialog";
import { SelectField, TextField } from "@/ui/form";
import { FormButtons } from "@/ui/form-buttons";

const HERE = "";

/** A model on this machine, or one that another server has. */
export function AddModel({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const upstreams = useQuery(upstreamsQuery).data?.data ?? [];
  const [place, setPlace] = useState(HERE);
  const [name, setName] = useState("");
  const [source, setSource] = useState("");
  const [context, setContext] = useState("");
  const add = useChange<ModelInfo, NewModel>((body) => request("/api/admin/models", { method: "POST", body }), {
    stale: MODEL_LISTS,
    told: t("admin.models.added"),
    quiet: true,
    onDone: onClose,
  });
  const isHere = place === HERE;
  return (
    <Dialog open onOpenChange={onClose} title={t("admin.models.add")}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          const tokens = context === "" ? null : Number(context);
          add.mutate({
            name: name.trim() || source.trim(),
            kind: isHere ? "local" : "upstream",
            source: source.trim(),
            upstream_id: isHere ? null : place,
            options: tokens === null ? {} : isHere ? { max_model_len: tokens } : { context_length: tokens },
          });
        }}
      >
        <SelectField
          label={t("admin.models.place")}
          value={place}
          onChange={setPlace}
          choices={[
            { value: HERE, label: t("admin.models.here") },
            ...upstreams.map((upstream) => ({ value: upstream.id, label: upstream.name })),
          ]}
        />
        <TextField
          label={t("admin.models.source")}
          hint={isHere ? t("admin.models.sourceHint") : t("admin.models.sourceThere")}
          error={add.error?.message}
          value={source}
          onChange={(event) => setSource(event.target.value)}
          autoComplete="off"
          autoFocus
          required
        />
        <TextField
          label={t("admin.models.servedAs")}
          hint={t("admin.models.servedAsHint")}
          value={name}
          onChange={(event) => setName(event.target.value)}
          autoComplete="off"
        />
        <TextField
          type="number"
          label={t("admin.models.context")}
          hint={t("admin.models.contextHint")}
          min={2}
          max={100_000_000}
          value={context}
          onChange={(event) => setContext(event.target.value)}
        />
        <FormButtons action={t("admin.models.add")} disabled={add.isPending || !source.trim()} onCancel={onClose} />
      </form>
    </Dialog>
  );
}
