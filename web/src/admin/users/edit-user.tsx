import { useState } from "react";
import { useTranslation } from "react-i18next";

import { roleChoices } from "@/admin/users/roles";
import { useChange } from "@/api/change";
import type { UserChanges, UserInfo } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { confirm } from "@/ui/confirm";
import { Dialog } from "@/ui/dialog";
import { SelectField, SwitchField, TextField } from "@/ui/form";
import { FormButtons } from "@/ui/form-buttons";

export function EditUser({ user, onClose }: { user: UserInfo; onClose: () => void }) {
  const { t } = useTranslation();
  const [name, setName] = useState(user.name);
  const [role, setRole] = useState(user.role);
  const [disabled, setDisabled] = useState(user.disabled);
  const [password, setPassword] = useState("");
  const path = `/api/admin/users/${user.id}`;
  const after = { stale: [["admin", "users"]], onDone: onClose };
  const change = useChange<UserInfo, UserChanges>((body) => request(path, { method: "PATCH", body }), {
    ...after,
    told: t("settings.saved"),
    quiet: true,
  });
  const remove = useChange(() => request<undefined>(path, { method: "DELETE" }), {
    ...after,
    told: t("admin.users.deleted"),
  });
  const askToDelete = async () => {
    const action = t("admin.users.delete");
    const question = {
      title: t("admin.users.deleteOf", { name: user.name }),
      text: t("admin.users.deleteHint"),
      action,
    };
    if (await confirm(question)) remove.mutate();
  };
  return (
    <Dialog open onOpenChange={onClose} title={user.name} description={t("admin.users.endHint")}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          change.mutate({
            ...(name !== user.name ? { name } : {}),
            ...(role !== user.role ? { role } : {}),
            ...(disabled !== user.disabled ? { disabled } : {}),
            ...(password ? { password } : {}),
          });
        }}
      >
        <TextField
          label={t("admin.users.name")}
          error={change.error?.message}
          value={name}
          onChange={(event) => setName(event.target.value)}
          autoComplete="off"
          required
        />
        <SelectField label={t("admin.users.role")} value={role} onChange={setRole} choices={roleChoices(t)} />
        <TextField
          type="password"
          label={t("admin.users.newPassword")}
          hint={t("admin.users.newPasswordHint")}
          value={password}
          onChange={(event) => setPassword(event.target.value)}
          autoComplete="new-password"
        />
        <SwitchField
          label={t("admin.users.disable")}
          hint={t("admin.users.disableHint")}
          checked={disabled}
          onChange={setDisabled}
        />
        <FormButtons action={t("common.save")} disabled={change.isPending || !name.trim()} onCancel={onClose} />
        <div className="border-t border-line pt-4">
          <Button look="danger" onClick={() => void askToDelete()} disabled={remove.isPending}>
            {t("admin.users.delete")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
