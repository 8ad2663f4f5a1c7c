import { ChevronLeft, ChevronRight } from "lucide-react";
import { useTranslation } from "react-i18next";

import { Button } from "@/ui/button";

interface BranchesProps {
  index: number;
  count: number;
  onChoose: (index: number) => void;
}

/** `< 2/3 >`: which of the alternatives is shown. */
export function Branches({ index, count, onChoose }: BranchesProps) {
  const { t } = useTranslation();
  if (count < 2) return null;
  return (
    <div role="group" aria-label={t("chat.alternatives")} className="flex items-center text-xs text-soft tabular-nums">
      <Button
        look="plain"
        size="icon"
        className="size-8"
        disabled={index === 0}
        onClick={() => onChoose(index - 1)}
        aria-label={t("chat.previous")}
      >
        <ChevronLeft className="size-4" aria-hidden />
      </Button>
      <span>
        {index + 1}/{count}
      </span>
      <Button
        look="plain"
        size="icon"
        className="size-8"
        disabled={index === count - 1}
        onClick={() => onChoose(index + 1)}
        aria-label={t("chat.next")}
      >
        <ChevronRight className="size-4" aria-hidden />
      </Button>
    </div>
  );
}
