import { useState } from "react";
import { useTranslation } from "react-i18next";

import { useChange } from "@/api/change";
import type { ChangedList, ShownList } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Dialog } from "@/ui/dialog";
import { SelectField, TextArea, TextField } from "@/ui/form";
import { FormButtons } from "@/ui/form-buttons";

const ACTIONS = ["flag", "block"] as const;

export function WordListForm({ list, onClose }: { list: ShownList | null; onClose: () => void }) {
  const { t } = useTranslation();
  const [name, setName] = useState(list?.name ?? "");
  const [category, setCategory] = useState(list?.category ?? "custom");
  const [action, setAction] = useState(list?.action ?? "flag");
  const [text, setText] = useState(() => list?.words.join("\n") ?? "");
  const words = text.split("\n").flatMap((line) => line.trim() || []);
  const save = useChange<ShownList, ChangedList>(
    (body) =>
      list
        ? request(`/api/admin/word-lists/${list.id}`, { method: "PATCH", body })
        : request("/api/admin/word-lists", { method: "POST", body }),
    { stale: [["admin", "word-lists"]], told: t("settings.saved"), quiet: true, onDone: onClose },
  );
  return (
    <Dialog open onOpenChange={onClose} title={list?.name ?? t("admin.words.new")}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate({ name, category, action, words });
        }}
      >
        <TextField
          label={t("admin.words.name")}
          error={save.error?.message}
          value={name}
          onChange={(event) => setName(event.target.value)}
          autoComplete="off"
          required
        />
        <div className="grid gap-4 sm:grid-cols-2">
          <SelectField
            label={t("admin.words.action")}
            hint={t(`admin.words.actionHints.${action}`)}
            value={action}
            onChange={setAction}
            choices={ACTIONS.map((value) => ({ value, label: t(`admin.words.actions.${value}`) }))}
          />
          <TextField
            label={t("admin.words.category")}
            hint={t("admin.words.categoryHint")}
            pattern="[a-z][a-z0-9\/_\-]{0,63}"
            value={category}
            onChange={(event) => setCategory(event.target.value)}
            required
          />
        </div>
        <TextArea
          label={t("admin.words.words")}
          hint={t("admin.words.wordsHint", { count: words.length })}
          rows={8}
          value={text}
          onChange={(event) => setText(event.target.value)}
          required
        />
        <FormButtons
          action={t("common.save")}
          disabled={save.isPending || !name.trim() || words.length === 0}
          onCancel={onClose}
        />
      </form>
    </Dialog>
  );
}
