import { SlidersHorizontal } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";

import { HeaderButton } from "@/chat/header-button";
import { isPersonal, type ChangeSetup, type ChatSetup } from "@/chat/setup/setup";

const SetupDrawer = lazy(() => import("@/chat/setup/setup-drawer").then((module) => ({ default: module.SetupDrawer })));

interface SetupButtonProps {
  setup: ChatSetup;
  onSetup: ChangeSetup;
}

/** Opens the drawer for persona and sampling; a dot says that either was set. */
export function SetupButton({ setup, onSetup }: SetupButtonProps) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <>
      <HeaderButton
        icon={SlidersHorizontal}
        label={t("chat.persona.open")}
        onClick={() => setOpen(true)}
        marked={isPersonal(setup)}
      />
      {open && (
        <Suspense>
          <SetupDrawer setup={setup} onSetup={onSetup} onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  );
}
