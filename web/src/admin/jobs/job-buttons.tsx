import { useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import { isActive } from "@/admin/jobs/queries";
import { useChange } from "@/api/change";
import type { OwnedJob } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { confirm } from "@/ui/confirm";

type Deed = "pause" | "resume" | "cancel";

export function JobButtons({ job }: { job: OwnedJob }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const path = `/api/admin/jobs/${job.id}`;
  const stale = [
    ["admin", "jobs"],
    ["admin", "job-events", job.id],
  ];
  const act = useChange<OwnedJob, Deed>((deed) => request(`${path}/${deed}`, { method: "POST", body: {} }), { stale });
  const remove = useChange(() => request<unknown>(path, { method: "DELETE" }), {
    stale: [["admin", "jobs"], ["admin", "models"], ["models"]],
    onDone: () => void navigate({ to: "/admin/$", params: { _splat: "jobs" } }),
  });
  const ask = async (deed: "cancel" | "delete") => {
    const action = t(`admin.jobs.${deed}`);
    if (!(await confirm({ title: action, text: t(`admin.jobs.${deed}Hint`), action }))) return;
    if (deed === "cancel") act.mutate("cancel");
    else remove.mutate();
  };
  const busy = act.isPending || remove.isPending;
  const active = isActive(job.status);
  return (
    <>
      {active && (
        <Button size="small" onClick={() => act.mutate("pause")} disabled={busy}>
          {t("admin.jobs.pause")}
        </Button>
      )}
      {job.status === "paused" && (
        <Button size="small" look="solid" onClick={() => act.mutate("resume")} disabled={busy}>
          {t("admin.jobs.resume")}
        </Button>
      )}
      {active || job.status === "paused" ? (
        <Button size="small" look="danger" onClick={() => void ask("cancel")} disabled={busy}>
          {t("admin.jobs.cancel")}
        </Button>
      ) : (
        <Button size="small" look="danger" onClick={() => void ask("delete")} disabled={busy}>
          {t("admin.jobs.delete")}
        </Button>
      )}
    </>
  );
}
