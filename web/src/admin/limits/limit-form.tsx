import { useState } from "react";
import { useTranslation } from "react-i18next";

import { LIMITS, readAmounts, typedAmounts, UNLIMITED } from "@/admin/limits/amounts";
import { useChange } from "@/api/change";
import type { NewRule, Rule } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Dialog } from "@/ui/dialog";
import { SelectField, TextField } from "@/ui/form";
import { FormButtons } from "@/ui/form-buttons";

const SUBJECTS = ["user", "key", "model"] as const;

/** A new rule, or another text of one that there is. */
export function LimitForm({ rule, onClose }: { rule: Rule | null; onClose: () => void }) {
  const { t } = useTranslation();
  const [subject, setSubject] = useState<Rule["subject"]>(rule?.subject ?? "user");
  const [subjectId, setSubjectId] = useState(rule?.subject_id ?? "");
  const [typed, setTyped] = useState(() => typedAmounts(rule?.limits ?? {}));
  const save = useChange<Rule, NewRule>(
    (body) =>
      rule
        ? request(`/api/admin/limits/${rule.id}`, { method: "PATCH", body: { limits: body.limits } })
        : request("/api/admin/limits", { method: "POST", body }),
    { stale: [["admin", "limits"]], told: t("settings.saved"), quiet: true, onDone: onClose },
  );
  const limits = readAmounts(typed);
  const ready = limits !== null && Object.keys(limits).length > 0 && subjectId.trim() !== "";
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title={rule ? t("admin.limits.change") : t("admin.limits.new")}
      description={t("admin.limits.formHint", { sign: UNLIMITED })}
    >
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (limits) save.mutate({ subject, subject_id: subjectId.trim(), limits });
        }}
      >
        {!rule && (
          <>
            <SelectField
              label={t("admin.limits.for")}
              value={subject}
              onChange={setSubject}
              choices={SUBJECTS.map((value) => ({ value, label: t(`admin.limits.subjects.${value}`) }))}
            />
            <TextField
              label={t(`admin.limits.ids.${subject}`)}
              value={subjectId}
              onChange={(event) => setSubjectId(event.target.value)}
              autoComplete="off"
              required
            />
          </>
        )}
        <div className="grid gap-3 sm:grid-cols-2">
          {LIMITS.map((name) => (
            <TextField
              key={name}
              label={t(`admin.limits.names.${name}`)}
              placeholder={t("admin.limits.asDefault")}
              value={typed[name]}
              onChange={(event) => setTyped({ ...typed, [name]: event.target.value })}
              autoComplete="off"
            />
          ))}
        </div>
        {(limits === null || save.error) && (
          <p role="alert" className="text-sm text-danger">
            {save.error?.message ?? t("admin.limits.noAmount")}
          </p>
        )}
        <FormButtons action={t("common.save")} disabled={!ready || save.isPending} onCancel={onClose} />
      </form>
    </Dialog>
  );
}
