import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Copy, ExternalLink, Link2Off } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { ShareView } from "@/api/generated/types.gen";
import { linkOf, revokeShare } from "@/share/queries";
import { Button } from "@/ui/button";
import { confirm } from "@/ui/confirm";
import { copyText } from "@/ui/copy";
import { tell, tellError } from "@/ui/toast";

/** A link that works: to copy, to look at, to revoke. */
export function ShareItem({ share }: { share: ShareView }) {
  const { t, i18n } = useTranslation();
  const queries = useQueryClient();
  const revoke = useMutation({
    mutationFn: () => revokeShare(share.id),
    onSuccess: () => {
      tell(t("share.revoked"));
      void queries.invalidateQueries({ queryKey: ["shares"] });
    },
    onError: (error) => tellError(error, t("app.offline")),
  });
  const ask = async () => {
    const question = { title: t("share.revokeTitle"), text: t("share.revokeText"), action: t("share.revoke") };
    if (await confirm(question)) revoke.mutate();
  };
  const link = linkOf(share);
  const made = new Intl.DateTimeFormat(i18n.language, { dateStyle: "medium", timeStyle: "short" });
  return (
    <li className="flex items-center gap-1 py-1.5 pr-1.5 pl-3">
      <div className="min-w-0 grow text-sm">
        <p className="truncate font-mono text-xs">{link}</p>
        <p className="text-xs text-soft">{t("share.made", { when: made.format(share.created_ms) })}</p>
      </div>
      <Button
        look="plain"
        size="icon"
        className="max-md:size-10"
        onClick={() => copyText(link, t)}
        aria-label={t("share.copy")}
      >
        <Copy className="size-4" aria-hidden />
      </Button>
      <Button look="plain" size="icon" className="max-md:size-10" asChild>
        <a href={share.path} target="_blank" rel="noreferrer" aria-label={t("share.open")}>
          <ExternalLink className="size-4" aria-hidden />
        </a>
      </Button>
      <Button
        look="plain"
        size="icon"
        className="max-md:size-10"
        disabled={revoke.isPending}
        onClick={() => void ask()}
        aria-label={t("share.revoke")}
      >
        <Link2Off className="size-4" aria-hidden />
      </Button>
    </li>
  );
}
