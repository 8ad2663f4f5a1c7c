import { Share2 } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";

import { HeaderButton } from "@/chat/header-button";

const ShareDialog = lazy(() => import("@/share/share-dialog").then((module) => ({ default: module.ShareDialog })));

export function ShareButton({ conversation }: { conversation: { id: string; title: string } }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <>
      <HeaderButton icon={Share2} label={t("chat.header.share")} onClick={() => setOpen(true)} />
      {open && (
        <Suspense>
          <ShareDialog conversation={conversation} onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  );
}
