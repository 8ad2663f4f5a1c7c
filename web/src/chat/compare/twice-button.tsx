import { Columns2 } from "lucide-react";
import { useTranslation } from "react-i18next";

import { Button } from "@/ui/button";

interface TwiceButtonProps {
  on: boolean;
  onChange: (on: boolean) => void;
}

/** Whether the next message is answered twice, to choose between the answers. */
export function TwiceButton({ on, onChange }: TwiceButtonProps) {
  const { t } = useTranslation();
  return (
    <Button
      look="plain"
      size="icon"
      className={`rounded-full max-md:size-10 ${on ? "w-auto gap-1.5 bg-accent-soft px-3 text-sm text-accent max-md:w-auto" : ""}`}
      aria-pressed={on}
      aria-label={t("chat.compare.twice")}
      title={t("chat.compare.twice")}
      onClick={() => onChange(!on)}
    >
      <Columns2 className="size-4" aria-hidden />
      {on && <span aria-hidden>{t("chat.compare.twiceShort")}</span>}
    </Button>
  );
}
