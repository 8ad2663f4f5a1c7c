import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { Link2 } from "lucide-react";
import { useTranslation } from "react-i18next";

import { ApiError } from "@/api/http";
import { createShare, linkOf, sharesQuery } from "@/share/queries";
import { ShareItem } from "@/share/share-item";
import { Button } from "@/ui/button";
import { copyText } from "@/ui/copy";
import { Dialog } from "@/ui/dialog";

interface ShareDialogProps {
  conversation: { id: string; title: string };
  onClose: () => void;
}

/** Makes links to a conversation as it is now, and takes them back. */
export function ShareDialog({ conversation, onClose }: ShareDialogProps) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const query = sharesQuery(conversation.id);
  const { data, isPending, error, hasNextPage, fetchNextPage, refetch } = useInfiniteQuery(query);
  const shares = data?.pages.flatMap((page) => page.data) ?? [];
  const create = useMutation({
    mutationFn: () => createShare(conversation.id),
    onSuccess: (share) => {
      copyText(linkOf(share), t);
      void queries.invalidateQueries({ queryKey: ["shares"] });
    },
  });
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={t("share.title")}
      description={t("share.description")}
    >
      <div className="mt-2 flex flex-wrap items-center justify-between gap-3">
        <p dir="auto" className="min-w-0 grow truncate font-medium">
          {conversation.title || t("sidebar.untitled")}
        </p>
        {/* Before the links are there it would move away from under the finger. */}
        <Button look="solid" disabled={create.isPending || isPending} onClick={() => create.mutate()}>
          <Link2 className="size-4" aria-hidden />
          {t(shares.length > 0 ? "share.createAnother" : "share.create")}
        </Button>
      </div>
      {create.error && <Refused error={create.error} />}
      {error && (
        <p className="mt-3 flex items-center justify-between gap-3 text-sm text-danger" role="alert">
          {t("share.notListed")}
          <Button size="small" onClick={() => void refetch()}>
            {t("app.retry")}
          </Button>
        </p>
      )}
      {isPending && (
        <div role="status" aria-label={t("app.loading")} className="mt-4 h-16 animate-pulse rounded-xl bg-hover" />
      )}
      {shares.length > 0 && (
        <>
          <h3 className="mt-5 mb-1 text-sm font-medium text-soft">{t("share.links", { count: shares.length })}</h3>
          <ul className="divide-y divide-line rounded-xl border border-line">
            {shares.map((share) => (
              <ShareItem key={share.id} share={share} />
            ))}
          </ul>
        </>
      )}
      {hasNextPage && (
        <Button look="plain" size="small" className="mt-2" onClick={() => void fetchNextPage()}>
          {t("share.more")}
        </Button>
      )}
    </Dialog>
  );
}

/** Some refusals are no errors but the wrong moment; those are told in the page's own words. */
function Refused({ error }: { error: Error }) {
  const { t } = useTranslation();
  const code = error instanceof ApiError ? error.code : null;
  return (
    <p className="mt-3 rounded-lg bg-warning-soft px-3 py-2 text-sm text-warning" role="alert">
      {code === "nothing_to_share"
        ? t("share.nothing")
        : code === "still_generating"
          ? t("share.generating")
          : error instanceof ApiError && !error.isOffline
            ? error.message
            : t("app.offline")}
    </p>
  );
}
