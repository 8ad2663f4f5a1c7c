import { ChevronLeft, ChevronRight } from "lucide-react";
import { useTranslation } from "react-i18next";

import { Button } from "@/ui/button";

export interface Head {
  layer: number;
  head: number;
}

interface HeadPickerProps {
  layers: number;
  heads: number;
  chosen: Head;
  onChoose: (head: Head) => void;
}

/** A layer and one of its heads. They are counted from 1 on the page and from 0 by the server. */
export function HeadPicker({ layers, heads, chosen, onChoose }: HeadPickerProps) {
  const { t } = useTranslation();
  return (
    <div className="grid grid-cols-2 gap-3">
      <Stepper
        label={t("inside.layer")}
        count={layers}
        value={chosen.layer}
        onChange={(layer) => onChoose({ ...chosen, layer })}
      />
      <Stepper
        label={t("inside.head")}
        count={heads}
        value={chosen.head}
        onChange={(head) => onChoose({ ...chosen, head })}
      />
    </div>
  );
}

interface StepperProps {
  label: string;
  count: number;
  value: number;
  onChange: (value: number) => void;
}

function Stepper({ label, count, value, onChange }: StepperProps) {
  const { t } = useTranslation();
  return (
    <div role="group" aria-label={label}>
      <p className="mb-1 text-xs text-soft" aria-hidden>
        {label}
      </p>
      <div className="flex items-center justify-between rounded-lg border border-line">
        <Button
          look="plain"
          size="icon"
          className="max-md:size-10"
          disabled={value === 0}
          onClick={() => onChange(value - 1)}
          aria-label={t("inside.previous", { what: label })}
        >
          <ChevronLeft className="size-4" aria-hidden />
        </Button>
        <select
          aria-label={label}
          value={value}
          onChange={(event) => onChange(Number(event.target.value))}
          className="h-9 min-w-0 cursor-pointer appearance-none rounded bg-raised text-center text-sm max-md:h-10 max-md:text-base"
        >
          {Array.from({ length: count }, (_, index) => (
            <option key={index} value={index}>
              {index + 1} / {count}
            </option>
          ))}
        </select>
        <Button
          look="plain"
          size="icon"
          className="max-md:size-10"
          disabled={value === count - 1}
          onClick={() => onChange(value + 1)}
          aria-label={t("inside.next", { what: label })}
        >
          <ChevronRight className="size-4" aria-hidden />
        </Button>
      </div>
    </div>
  );
}
