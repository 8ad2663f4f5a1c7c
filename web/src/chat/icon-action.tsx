import type { LucideIcon } from "lucide-react";
import { Tooltip } from "radix-ui";

import { Button } from "@/ui/button";

interface IconActionProps {
  icon: LucideIcon;
  label: string;
  onClick: () => void;
  pressed?: boolean;
  disabled?: boolean;
}

/** A small button below a message, named by a tooltip. */
export function IconAction({ icon: Icon, label, onClick, pressed, disabled = false }: IconActionProps) {
  return (
    <Tooltip.Root>
      <Tooltip.Trigger asChild>
        <Button
          look="plain"
          size="icon"
          className={`size-8 max-md:size-10 ${pressed ? "text-accent" : ""}`}
          onClick={onClick}
          disabled={disabled}
          aria-label={label}
          {...(pressed === undefined ? {} : { "aria-pressed": pressed })}
        >
          <Icon className="size-4" aria-hidden />
        </Button>
      </Tooltip.Trigger>
      <Tooltip.Portal>
        <Tooltip.Content sideOffset={4} className="z-50 rounded-md bg-ink px-2 py-1 text-xs text-surface">
          {label}
        </Tooltip.Content>
      </Tooltip.Portal>
    </Tooltip.Root>
  );
}
