/** Above a chat: what it is called, which model writes, and what one can do with it. On phones it is in the top bar. */

import type { LucideIcon } from "lucide-react";
import { Tooltip } from "radix-ui";
import type { ReactNode } from "react";
import { createPortal } from "react-dom";

import { useTopBarPlace } from "@/app/top-bar-place";
import { ModelSwitcher } from "@/chat/setup/model-switcher";
import type { ChangeSetup, ChatSetup } from "@/chat/setup/setup";
import { Button } from "@/ui/button";
import { useIsPhone } from "@/ui/media";

interface ChatHeaderProps {
  /** Absent before the first message. */
  title?: ReactNode;
  setup: ChatSetup;
  onSetup: ChangeSetup;
  /** Buttons at the right end. */
  children?: ReactNode;
}

export function ChatHeader({ title, setup, onSetup, children }: ChatHeaderProps) {
  const isPhone = useIsPhone();
  const topBar = useTopBarPlace((state) => state.element);
  const switcher = (
    <ModelSwitcher
      model={setup.model}
      onChange={(model) => onSetup({ model })}
      small={isPhone && title !== undefined}
    />
  );
  const bar = (
    <Tooltip.Provider delayDuration={400}>
      <div className="flex min-w-0 grow flex-col items-start justify-center md:flex-row md:items-center md:justify-start md:gap-2">
        {title !== undefined && (
          <h1 dir="auto" className="max-w-full min-w-0 truncate px-2 text-sm font-semibold">
            {title}
          </h1>
        )}
        {switcher}
      </div>
      <div className="flex shrink-0 items-center">{children}</div>
    </Tooltip.Provider>
  );
  if (isPhone) return topBar && createPortal(bar, topBar);
  return <div className="flex h-14 shrink-0 items-center gap-2 border-b border-line px-3">{bar}</div>;
}

interface HeaderButtonProps {
  icon: LucideIcon;
  label: string;
  onClick: () => void;
  /** Marked with a dot, or pressed where it is a switch. */
  marked?: boolean;
  pressed?: boolean;
}

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
