import { useState } from "react";
import { useTranslation } from "react-i18next";

import { roleChoices, type AccountRole } from "@/admin/users/roles";
import { useChange } from "@/api/change";
import type { NewUser as Body, UserInfo } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Dialog } from "@/ui/dialog";
import { SelectField, TextField } from "@/ui/form";
import { FormButtons } from "@/ui/form-buttons";

export function NewUser({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState<AccountRole>("user");
  const make = useChange<UserInfo, Body>((body) => request("/api/admin/users", { method: "POST", body }), {
    stale: [["admin", "users"]],
    told: t("admin.users.made"),
    quiet: true,
    onDone: onClose,
  });
  return (
    <Dialog open onOpenChange={onClose} title={t("admin.users.new")}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          make.mutate({ name, password: password || null, role });
        }}
      >
        <TextField
          label={t("admin.users.name")}
          error={make.error?.message}
          value={name}
          onChange={(event) => setName(event.target.value)}
          autoComplete="off"
          autoFocus
          required
        />
        <TextField
          type="password"
          label={t("admin.users.password")}
          hint={t("admin.users.passwordHint")}
          value={password}
          onChange={(event) => setPassword(event.target.value)}
          autoComplete="new-password"
        />
        <SelectField label={t("admin.users.role")} value={role} onChange={setRole} choices={roleChoices(t)} />
        <FormButtons action={t("admin.users.make")} disabled={make.isPending || !name.trim()} onCancel={onClose} />
      </form>
    </Dialog>
  );
}
