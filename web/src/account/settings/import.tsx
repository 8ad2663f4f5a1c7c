import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Upload } from "lucide-react";
import { useEffect, useRef, useState, type DragEvent } from "react";
import { useTranslation } from "react-i18next";

import { ImportReport } from "@/account/settings/import-report";
import { useChange } from "@/api/change";
import type { ImportList, ImportView } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { Loaded } from "@/ui/load";
import { Panel } from "@/ui/panel";

export function ImportPanel() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const picker = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  const imports = useQuery({
    queryKey: ["imports"],
    queryFn: ({ signal }) => request<ImportList>("/api/imports", { signal }),
    refetchInterval: ({ state }) => (state.data && countRunning(state.data.data) > 0 ? 1000 : false),
  });
  const running = countRunning(imports.data?.data ?? []);
  useEffect(() => {
    if (running === 0) void queries.invalidateQueries({ queryKey: ["conversations"] }); // there are more of them now
  }, [running, queries]);
  const begin = useChange<ImportView, File>(
    (file) => {
      const form = new FormData();
      form.set("file", file);
      return request<ImportView>("/api/imports", { method: "POST", form });
    },
    { stale: [["imports"]] },
  );
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const file = event.dataTransfer.files[0];
    if (file) begin.mutate(file);
  };
  return (
    <Panel title={t("settings.data.import")} description={t("settings.data.importHint")}>
      <div
        className={`flex flex-col items-center gap-3 rounded-xl border-2 border-dashed p-6 text-center text-sm text-soft ${over ? "border-accent bg-accent-soft" : "border-line"}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={drop}
      >
        <p>{t("settings.data.dropHere")}</p>
        <Button look="solid" onClick={() => picker.current?.click()} disabled={begin.isPending}>
          <Upload className="size-4" aria-hidden />
          {begin.isPending ? t("settings.data.uploading") : t("settings.data.choose")}
        </Button>
        <input
          ref={picker}
          type="file"
          accept=".json,.jsonl,.zip,application/json,application/zip"
          className="sr-only"
          tabIndex={-1}
          aria-label={t("settings.data.choose")}
          onChange={(event) => {
            const file = event.target.files?.[0];
            event.target.value = ""; // the same file may be chosen again
            if (file) begin.mutate(file);
          }}
        />
      </div>
      <Loaded query={imports}>
        {({ data }) => (
          <ul className="mt-4 flex flex-col gap-3" aria-label={t("settings.data.imports")}>
            {data.map((one) => (
              <ImportReport key={one.id} one={one} />
            ))}
          </ul>
        )}
      </Loaded>
    </Panel>
  );
}

function countRunning(imports: readonly ImportView[]): number {
  return imports.filter(({ status }) => status === "running").length;
}
