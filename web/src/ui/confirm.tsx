import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { Button } from "@/ui/button";
import { Dialog } from "@/ui/dialog";
import { TextField } from "@/ui/form";

interface ConfirmProps {
  open: boolean;
  onClose: () => void;
  title: string;
  /** What will be lost. */
  children: ReactNode;
  action: string;
  onConfirm: () => void;
  busy?: boolean;
  /** A word that must be typed first, where nothing can be brought back. */
  word?: string;
}

/** Asks before something that cannot be undone. */
export function Confirm({ open, onClose, title, children, action, onConfirm, busy = false, word }: ConfirmProps) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  return (
    <Dialog open={open} onOpenChange={(next) => !next && onClose()} title={title}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          onConfirm();
        }}
      >
        <div className="text-sm text-soft">{children}</div>
        {word !== undefined && (
          <TextField
            label={t("common.typeToConfirm", { word })}
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
            autoComplete="off"
          />
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="submit" look="danger" disabled={busy || (word !== undefined && typed !== word)}>
            {action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
