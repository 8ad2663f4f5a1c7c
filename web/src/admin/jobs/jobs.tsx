import { Link, useNavigate } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { JobPage } from "@/admin/jobs/job";
import { NewJob } from "@/admin/jobs/new-job";
import { TONES } from "@/admin/jobs/queries";
import type { OwnedJob } from "@/api/generated/types.gen";
import { useRows } from "@/api/pages";
import { Button } from "@/ui/button";
import { useFormats } from "@/ui/formats";
import { Badge, Panel } from "@/ui/panel";
import { RowList } from "@/ui/row-list";
import type { Column } from "@/ui/table";

export function JobsSection({ item }: { item: string | null }) {
  return item ? <JobPage id={item} /> : <JobsPanel />;
}

function JobsPanel() {
  const { t } = useTranslation();
  const { dayAndTime } = useFormats();
  const navigate = useNavigate();
  const [isNew, setIsNew] = useState(false);
  const list = useRows<OwnedJob>(["admin", "jobs"], "/api/admin/jobs");
  const columns: Column<OwnedJob>[] = [
    {
      id: "name",
      title: t("admin.jobs.job"),
      quiet: true,
      cell: (row) => (
        <span className="flex flex-wrap items-center gap-2">
          <Link
            to="/admin/$"
            params={{ _splat: `jobs/${row.id}` }}
            className="py-1 font-medium text-accent underline-offset-2 hover:underline"
          >
            {row.user_provided_suffix ?? row.id}
          </Link>
          <Badge tone={TONES[row.status]}>{t(`admin.jobs.states.${row.status}`)}</Badge>
        </span>
      ),
    },
    { id: "method", title: t("admin.jobs.method"), cell: (row) => String(row.method.type) },
    { id: "model", title: t("admin.jobs.base"), cell: (row) => row.model },
    { id: "user", title: t("usage.user"), cell: (row) => row.user_name },
    { id: "created", title: t("admin.jobs.created"), cell: (row) => dayAndTime(row.created_at * 1000) },
  ];
  return (
    <Panel
      title={t("admin.jobs.all")}
      description={t("admin.jobs.hint")}
      actions={
        <Button look="solid" onClick={() => setIsNew(true)}>
          <Plus className="size-4" aria-hidden />
          {t("admin.jobs.new")}
        </Button>
      }
    >
      <RowList
        list={list}
        caption={t("admin.jobs.all")}
        columns={columns}
        id={(row) => row.id}
        empty={t("admin.jobs.none")}
      />
      {isNew && (
        <NewJob
          onClose={() => setIsNew(false)}
          onBegun={({ id }) => void navigate({ to: "/admin/$", params: { _splat: `jobs/${id}` } })}
        />
      )}
    </Panel>
  );
}
