import { Download } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { ImportPanel } from "@/account/settings/import";
import { withQuery } from "@/api/http";
import { Button } from "@/ui/button";
import { SelectField } from "@/ui/form";
import { Panel } from "@/ui/panel";

const FORMS = ["json", "markdown", "chatgpt", "sharegpt", "messages"] as const;

export function DataSection() {
  return (
    <>
      <ExportPanel />
      <ImportPanel />
    </>
  );
}

function ExportPanel() {
  const { t } = useTranslation();
  const [form, setForm] = useState<(typeof FORMS)[number]>("json");
  return (
    <Panel title={t("settings.data.export")} description={t("settings.data.exportHint")}>
      <div className="flex flex-wrap items-end gap-3">
        <div className="min-w-56 grow sm:max-w-md">
          <SelectField
            label={t("settings.data.form")}
            value={form}
            onChange={setForm}
            choices={FORMS.map((value) => ({ value, label: t(`settings.data.forms.${value}`) }))}
          />
        </div>
        <Button look="solid" asChild>
          <a href={withQuery("/api/export", { format: form })} download>
            <Download className="size-4" aria-hidden />
            {t("settings.data.download")}
          </a>
        </Button>
      </div>
    </Panel>
  );
}
