/** Above a chat: what it is called, which model writes, and what one can do with it. On phones it is in the top bar. */

import { Tooltip } from "radix-ui";
import type { ReactNode } from "react";
import { createPortal } from "react-dom";

import { useTopBarPlace } from "@/app/top-bar-place";
import { ModelSwitcher } from "@/chat/setup/model-switcher";
import { SetupButton } from "@/chat/setup/setup-button";
import type { ChangeSetup, ChatSetup } from "@/chat/setup/setup";
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
      <div className="flex shrink-0 items-center">
        {children}
        <SetupButton setup={setup} onSetup={onSetup} />
      </div>
    </Tooltip.Provider>
  );
  if (isPhone) return topBar && createPortal(bar, topBar);
  return <div className="flex h-14 shrink-0 items-center gap-2 border-b border-line px-3">{bar}</div>;
}
