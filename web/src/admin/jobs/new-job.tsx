import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { beginJob, type Method, type Wish } from "@/admin/jobs/begin";
import { modelsQuery } from "@/admin/models/queries";
import { useChange } from "@/api/change";
import type { JobObject } from "@/api/generated/types.gen";
import { Dialog } from "@/ui/dialog";
import { FileField, SelectField, TextField } from "@/ui/form";
import { FormButtons } from "@/ui/form-buttons";
import { Loaded } from "@/ui/load";

const METHODS: readonly Method[] = ["supervised", "dpo"];

/** A line of a training file. */
const FORMS: Record<Method, string> = {
  supervised: '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}',
  dpo: '{"prompt": [{"role": "user", "content": "…"}], "chosen": [{…}], "rejected": [{…}]}',
};

interface NewJobProps {
  onClose: () => void;
  onBegun: (job: JobObject) => void;
}

/** Which model is to learn what. */
export function NewJob({ onClose, onBegun }: NewJobProps) {
  const { t } = useTranslation();
  const models = useQuery(modelsQuery);
  return (
    <Dialog open onOpenChange={onClose} title={t("admin.jobs.new")}>
      <Loaded query={models}>
        {({ data }) => (
          <JobForm
            models={data.filter(({ kind }) => kind === "local").map(({ name }) => name)}
            usual={data.find(({ is_default: isDefault }) => isDefault)?.name}
            onBegun={onBegun}
            onCancel={onClose}
          />
        )}
      </Loaded>
    </Dialog>
  );
}

interface JobFormProps {
  /** That can be trained. */
  models: readonly string[];
  usual: string | undefined;
  onBegun: (job: JobObject) => void;
  onCancel: () => void;
}

function JobForm({ models, usual, onBegun, onCancel }: JobFormProps) {
  const { t } = useTranslation();
  const [model, setModel] = useState(() => models.find((name) => name === usual) ?? models[0] ?? "");
  const [method, setMethod] = useState<Method>("supervised");
  const [training, setTraining] = useState<File | null>(null);
  const [validation, setValidation] = useState<File | null>(null);
  const [epochs, setEpochs] = useState("");
  const [suffix, setSuffix] = useState("");
  const begin = useChange<JobObject, Wish>(beginJob, {
    stale: [["admin", "jobs"]],
    told: t("admin.jobs.begun"),
    quiet: true,
    onDone: onBegun,
  });
  return (
    <form
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        if (training)
          begin.mutate({ model, method, training, validation, epochs: Number(epochs) || null, suffix: suffix.trim() });
      }}
    >
      <SelectField
        label={t("admin.jobs.base")}
        value={model}
        onChange={setModel}
        choices={models.map((name) => ({ value: name, label: name }))}
      />
      <SelectField
        label={t("admin.jobs.method")}
        value={method}
        onChange={setMethod}
        choices={METHODS.map((value) => ({ value, label: t(`admin.jobs.methods.${value}`) }))}
      />
      <FileField
        label={t("admin.jobs.training")}
        hint={
          <>
            {t("admin.jobs.trainingHint")} <code className="font-mono text-xs wrap-anywhere">{FORMS[method]}</code>
          </>
        }
        error={begin.error?.message}
        accept=".jsonl,.json,.gz"
        onFile={setTraining}
        required
      />
      <FileField
        label={t("admin.jobs.validation")}
        hint={t("admin.jobs.validationHint")}
        accept=".jsonl,.json,.gz"
        onFile={setValidation}
      />
      <div className="grid gap-4 sm:grid-cols-2">
        <TextField
          type="number"
          label={t("admin.jobs.epochs")}
          placeholder={t("admin.jobs.automatic")}
          min={1}
          max={50}
          value={epochs}
          onChange={(event) => setEpochs(event.target.value)}
        />
        <TextField
          label={t("admin.jobs.suffix")}
          hint={t("admin.jobs.suffixHint")}
          pattern="[A-Za-z0-9][A-Za-z0-9._\-]{0,63}"
          value={suffix}
          onChange={(event) => setSuffix(event.target.value)}
          autoComplete="off"
        />
      </div>
      <FormButtons
        action={t("admin.jobs.begin")}
        disabled={begin.isPending || !training || !model}
        onCancel={onCancel}
      />
    </form>
  );
}
