import { useState } from "react";
import { useTranslation } from "react-i18next";

import { roleChoices, type AccountRole } from "@/admin/users/roles";
import { useChange } from "@/api/change";
import type { CreatedInvitation, NewInvitationRequest } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Dialog } from "@/ui/dialog";
import { SelectField, TextField } from "@/ui/form";
import { FormButtons } from "@/ui/form-buttons";
import { ShownOnce } from "@/ui/shown-once";

export function NewInvitation({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const [note, setNote] = useState("");
  const [role, setRole] = useState<AccountRole>("user");
  const [days, setDays] = useState(7);
  const [uses, setUses] = useState(1);
  const make = useChange<CreatedInvitation, NewInvitationRequest>(
    (body) => request("/api/admin/invitations", { method: "POST", body }),
    { stale: [["admin", "invitations"]], quiet: true },
  );
  if (make.data) {
    const link = `${location.origin}/sign-up?invitation=${encodeURIComponent(make.data.code)}`;
    return (
      <Dialog open onOpenChange={onClose} title={t("admin.invitations.made")} description={t("admin.invitations.once")}>
        <ShownOnce label={t("admin.invitations.link")} secret={link} onDone={onClose} />
      </Dialog>
    );
  }
  return (
    <Dialog open onOpenChange={onClose} title={t("admin.invitations.new")}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          make.mutate({ note, role, expires_in_days: days, max_uses: uses });
        }}
      >
        <TextField
          label={t("admin.invitations.note")}
          hint={t("admin.invitations.noteHint")}
          error={make.error?.message}
          value={note}
          onChange={(event) => setNote(event.target.value)}
          maxLength={200}
          autoFocus
        />
        <SelectField label={t("admin.users.role")} value={role} onChange={setRole} choices={roleChoices(t)} />
        <div className="grid grid-cols-2 gap-4">
          <TextField
            type="number"
            label={t("admin.invitations.days")}
            min={1}
            max={3650}
            value={days}
            onChange={(event) => setDays(event.target.valueAsNumber)}
            required
          />
          <TextField
            type="number"
            label={t("admin.invitations.maxUses")}
            min={1}
            max={10_000}
            value={uses}
            onChange={(event) => setUses(event.target.valueAsNumber)}
            required
          />
        </div>
        <FormButtons action={t("admin.invitations.make")} disabled={make.isPending} onCancel={onClose} />
      </form>
    </Dialog>
  );
}
