import type { LucideIcon } from "lucide-react";
import { Tooltip } from "radix-ui";

import { Button } from "@/ui/button";

interface HeaderButtonProps {
  icon: LucideIcon;
  label: string;
  onClick: () => void;
  /** Marked with a dot, or pressed where it is a switch. */
  marked?: boolean;
  pressed?: boolean;
}

/** A button of the bar above a chat, named by a tooltip. */
export function HeaderButton({ icon: Icon, label, onClick, marked = false, pressed }: HeaderButtonProps) {
  return (
    <Tooltip.Root>
      <Tooltip.Trigger asChild>
        <Button
          look="plain"
          size="icon"
          className={`relative max-md:size-10 ${pressed ? "bg-accent-soft text-accent!" : ""}`}
          onClick={onClick}
          aria-label={label}
          {...(pressed === undefined ? {} : { "aria-pressed": pressed })}
        >
          <Icon className="size-5" aria-hidden />
          {marked && <span className="absolute top-1.5 right-1.5 size-2 rounded-full bg-accent" aria-hidden />}
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
