import { useQuery, useSuspenseQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import { useLink } from "@/account/enter";
import { Refused } from "@/account/settings/refused";
import { useChange } from "@/api/change";
import type { IdentityInfo } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { setupQuery } from "@/api/session";
import { Button } from "@/ui/button";
import { confirm } from "@/ui/confirm";
import { Failed, Loading } from "@/ui/load";
import { Panel } from "@/ui/panel";

const KEY = ["identities"];

/** Providers by which one can sign in; left out where there is none and never was. */
export function IdentitiesPanel() {
  const { t } = useTranslation();
  const { data: setup } = useSuspenseQuery(setupQuery);
  const list = useQuery({ queryKey: KEY, queryFn: () => request<IdentityInfo[]>("/api/me/identities") });
  const link = useLink();
  if (!setup.oidc && !list.data?.length) return null;
  return (
    <Panel
      title={t("settings.security.identities")}
      description={t("settings.security.identitiesHint")}
      actions={
        setup.oidc && (
          <Button disabled={link.isPending || link.isSuccess} onClick={() => link.mutate()}>
            {t("settings.security.link")}
          </Button>
        )
      }
    >
      <Refused error={link.error} />
      {list.isPending && <Loading />}
      {list.error && <Failed error={list.error} retry={() => void list.refetch()} />}
      {list.data?.length === 0 && <p className="text-sm text-soft">{t("settings.security.noIdentities")}</p>}
      <ul className="divide-y divide-line">
        {list.data?.map((identity) => (
          <Identity key={identity.id} identity={identity} />
        ))}
      </ul>
    </Panel>
  );
}

function Identity({ identity }: { identity: IdentityInfo }) {
  const { t } = useTranslation();
  const provider = hostOf(identity.issuer);
  const unlink = useChange(() => request<undefined>(`/api/me/identities/${identity.id}`, { method: "DELETE" }), {
    stale: [KEY],
    told: t("settings.security.unlinked"),
    quiet: true,
  });
  const ask = async () => {
    const action = t("settings.security.unlink");
    if (await confirm({ title: action, text: t("settings.security.unlinkHint", { provider }), action }))
      unlink.mutate();
  };
  return (
    <li className="flex flex-col gap-2 py-3 last:pb-0">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <div className="min-w-0 text-sm wrap-anywhere">
          <div className="font-medium" title={identity.issuer}>
            {provider}
          </div>
          <div className="text-soft">{identity.subject}</div>
        </div>
        <Button
          size="small"
          aria-label={t("settings.security.unlinkFrom", { provider })}
          onClick={() => void ask()}
          disabled={unlink.isPending}
        >
          {t("settings.security.unlink")}
        </Button>
      </div>
      <Refused error={unlink.error} />
    </li>
  );
}

/** What people know a provider by. */
function hostOf(issuer: string): string {
  return URL.canParse(issuer) ? new URL(issuer).host : issuer;
}
