import { useNavigate } from "@tanstack/react-router";
import { useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import { deviceName } from "@/account/settings/device";
import { useChange } from "@/api/change";
import type { SessionInfo } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { useRows } from "@/api/pages";
import { Button } from "@/ui/button";
import { confirm } from "@/ui/confirm";
import { useFormats } from "@/ui/formats";
import { Badge, Panel } from "@/ui/panel";
import { RowList } from "@/ui/row-list";
import type { Column } from "@/ui/table";

export function SessionsPanel() {
  const { t } = useTranslation();
  const { dayAndTime } = useFormats();
  const list = useRows<SessionInfo>(["sessions"], "/api/me/sessions");
  const end = useChange<undefined, string>((id) => request(`/api/me/sessions/${id}`, { method: "DELETE" }), {
    stale: [["sessions"]],
    told: t("settings.security.ended"),
  });
  const columns: Column<SessionInfo>[] = [
    {
      id: "device",
      title: t("settings.security.device"),
      quiet: true,
      cell: (row) => (
        <span className="flex flex-wrap items-center gap-2 font-medium" title={row.user_agent}>
          {deviceName(row.user_agent) || t("settings.security.unknown")}
          {row.current && <Badge tone="good">{t("settings.security.here")}</Badge>}
        </span>
      ),
    },
    { id: "address", title: t("settings.security.address"), cell: (row) => row.address },
    { id: "used", title: t("settings.security.used"), cell: (row) => dayAndTime(row.used_ms) },
    {
      id: "actions",
      title: t("common.actions"),
      quiet: true,
      cell: (row) =>
        !row.current && (
          <div className="flex justify-end">
            <Button size="small" onClick={() => end.mutate(row.id)} disabled={end.isPending}>
              {t("settings.security.end")}
            </Button>
          </div>
        ),
    },
  ];
  return (
    <Panel title={t("settings.security.sessions")} actions={<Everywhere />}>
      <RowList
        list={list}
        caption={t("settings.security.sessions")}
        columns={columns}
        id={(row) => row.id}
        empty={t("settings.security.noSessions")}
      />
    </Panel>
  );
}

function Everywhere() {
  const { t } = useTranslation();
  const leave = useLeave();
  const end = useChange(() => request<undefined>("/api/sign-out-everywhere", { method: "POST" }), { onDone: leave });
  const ask = async () => {
    const action = t("settings.security.everywhere");
    if (await confirm({ title: action, text: t("settings.security.everywhereHint"), action })) end.mutate();
  };
  return (
    <Button look="danger" onClick={() => void ask()} disabled={end.isPending}>
      {t("settings.security.everywhere")}
    </Button>
  );
}

/** To the door, with nothing kept in memory of whoever was here. */
export function useLeave(): () => void {
  const queries = useQueryClient();
  const navigate = useNavigate();
  return () => {
    void navigate({ to: "/sign-in" }).then(() => queries.clear());
  };
}
