import { useInfiniteQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { LIMITS } from "@/admin/limits/amounts";
import { LimitForm } from "@/admin/limits/limit-form";
import { useUserNames } from "@/admin/user-names";
import { useChange } from "@/api/change";
import type { Rule, Rules } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { Empty, Failed, Loading } from "@/ui/load";
import { useFormats } from "@/ui/formats";
import { Badge, Panel } from "@/ui/panel";
import { Table, type Column } from "@/ui/table";

export function LimitsSection() {
  const { t } = useTranslation();
  const [edited, setEdited] = useState<Rule | "new" | null>(null);
  const query = useInfiniteQuery({
    queryKey: ["admin", "limits"],
    queryFn: ({ pageParam, signal }) =>
      request<Rules>("/api/admin/limits", { query: { after: pageParam, limit: 200 }, signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next,
  });
  if (query.isPending) return <Loading />;
  if (!query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  const rules = query.data.pages.flatMap((page) => page.data);
  const defaults = query.data.pages[0]?.defaults ?? {};
  return (
    <>
      <Panel title={t("admin.limits.defaults")} description={t("admin.limits.defaultsHint")}>
        <Amounts limits={defaults} />
      </Panel>
      <Panel
        title={t("admin.limits.rules")}
        description={t("admin.limits.rulesHint")}
        actions={
          <Button look="solid" onClick={() => setEdited("new")}>
            <Plus className="size-4" aria-hidden />
            {t("admin.limits.new")}
          </Button>
        }
      >
        {rules.length === 0 ? <Empty>{t("admin.limits.none")}</Empty> : <RuleTable rules={rules} onEdit={setEdited} />}
        {query.hasNextPage && <Button onClick={() => void query.fetchNextPage()}>{t("common.more")}</Button>}
      </Panel>
      {edited && <LimitForm rule={edited === "new" ? null : edited} onClose={() => setEdited(null)} />}
    </>
  );
}

function RuleTable({ rules, onEdit }: { rules: readonly Rule[]; onEdit: (rule: Rule) => void }) {
  const { t } = useTranslation();
  const nameOf = useUserNames();
  const remove = useChange<undefined, string>((id) => request(`/api/admin/limits/${id}`, { method: "DELETE" }), {
    stale: [["admin", "limits"]],
    told: t("admin.limits.deleted"),
  });
  const columns: Column<Rule>[] = [
    {
      id: "subject",
      title: t("admin.limits.for"),
      quiet: true,
      cell: (row) => (
        <span className="flex flex-wrap items-center gap-2">
          <Badge>{t(`admin.limits.subjects.${row.subject}`)}</Badge>
          <span className="font-medium">{row.subject === "user" ? nameOf(row.subject_id) : row.subject_id}</span>
        </span>
      ),
    },
    { id: "limits", title: t("admin.limits.allowed"), quiet: true, cell: (row) => <Amounts limits={row.limits} /> },
    {
      id: "actions",
      title: t("common.actions"),
      quiet: true,
      cell: (row) => (
        <div className="flex justify-end gap-2">
          <Button size="small" onClick={() => onEdit(row)}>
            {t("common.change")}
          </Button>
          <Button size="small" look="danger" onClick={() => remove.mutate(row.id)} disabled={remove.isPending}>
            {t("common.delete")}
          </Button>
        </div>
      ),
    },
  ];
  return <Table caption={t("admin.limits.rules")} columns={columns} rows={rules} id={(row) => row.id} />;
}

function Amounts({ limits }: { limits: Readonly<Record<string, number | null>> }) {
  const { t } = useTranslation();
  const { number } = useFormats();
  const said = LIMITS.filter((name) => limits[name] !== undefined);
  return (
    <dl className="flex flex-wrap gap-x-6 gap-y-1 text-sm">
      {said.map((name) => {
        const amount = limits[name];
        return (
          <div key={name} className="flex gap-2">
            <dt className="text-soft">{t(`admin.limits.names.${name}`)}</dt>
            <dd className="tabular-nums">
              {typeof amount === "number" ? number(amount) : t("admin.limits.unlimited")}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}
