import { ScanSearch } from "lucide-react";
import { useState, type ComponentType } from "react";
import { useTranslation } from "react-i18next";

import type { MessageView } from "@/api/generated/types.gen";
import { IconAction } from "@/chat/icon-action";
import type { InsideDialogProps } from "@/inside/inside-dialog";
import { tellError } from "@/ui/toast";

/** Opens the view inside an answer, which is loaded when it is first wanted. */
export function InsideButton({ message }: { message: MessageView }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  const [Dialog, setDialog] = useState<ComponentType<InsideDialogProps> | null>(null);
  if (message.role !== "assistant" || message.status === "generating" || !(message.content || message.reasoning)) {
    return null;
  }
  const show = () => {
    setOpen(true);
    if (Dialog) return;
    import("@/inside/inside-dialog").then(
      ({ InsideDialog }) => setDialog(() => InsideDialog),
      (error: unknown) => {
        setOpen(false);
        tellError(error, t("app.offline"));
      },
    );
  };
  return (
    <>
      <IconAction icon={ScanSearch} label={t("inside.open")} onClick={show} />
      {Dialog && <Dialog message={message} open={open} onOpenChange={setOpen} />}
    </>
  );
}
