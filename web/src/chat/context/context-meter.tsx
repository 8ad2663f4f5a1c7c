import { useQuery } from "@tanstack/react-query";
import { Popover } from "radix-ui";
import { useTranslation } from "react-i18next";

import type { ContextView } from "@/api/generated/types.gen";
import { contextQuery } from "@/chat/context/query";
import { Ring } from "@/chat/context/ring";
import { useFormats } from "@/ui/formats";

const NEARLY_FULL = 0.9;

interface ContextMeterProps {
  conversationId: string;
  leafId: string;
  /** While an answer grows it would be counted again and again; it is counted once, at the end. */
  writing: boolean;
}

/** How much of what the model can read is taken, and what was not sent to it. */
export function ContextMeter({ conversationId, leafId, writing }: ContextMeterProps) {
  const { t } = useTranslation();
  const { percent } = useFormats();
  const { data: context } = useQuery({ ...contextQuery(conversationId, leafId), enabled: !writing });
  if (!context) return null; // a gauge that knows nothing is no gauge
  const share = shareOf(context);
  const { dropped_turns: unsent } = context;
  const warns = unsent > 0 || share >= NEARLY_FULL;
  return (
    <Popover.Root>
      <Popover.Trigger
        aria-label={
          unsent > 0
            ? t("chat.context.unsent", { count: unsent })
            : t("chat.context.label", { percent: percent(Math.round(share * 100) / 100) })
        }
        className="flex h-9 cursor-pointer items-center gap-2 rounded-lg px-2 text-sm transition-colors hover:bg-hover data-[state=open]:bg-hover max-md:size-10 max-md:justify-center max-md:px-0"
      >
        {unsent > 0 && (
          <span className="text-warning max-md:hidden">{t("chat.context.unsent", { count: unsent })}</span>
        )}
        <Ring share={share} warns={warns} />
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content
          align="end"
          sideOffset={6}
          collisionPadding={8}
          aria-label={t("chat.context.title")}
          className="z-50 w-72 max-w-[calc(100vw-1rem)] rounded-xl border border-line bg-raised p-4 text-sm shadow-lg outline-none"
        >
          <Details context={context} share={share} />
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

function Details({ context, share }: { context: ContextView; share: number }) {
  const { t } = useTranslation();
  const { number } = useFormats();
  const { model, prompt_tokens: used, context_length: limit, dropped_turns: unsent } = context;
  const warning = unsent > 0 ? t("chat.context.unsentWhy") : share > 1 ? t("chat.context.full") : null;
  return (
    <>
      <h2 className="font-semibold">{t("chat.context.title")}</h2>
      <p className="mt-1 tabular-nums">
        {limit === null
          ? t("chat.context.usedOnly", { used: number(used) })
          : t("chat.context.used", { used: number(used), limit: number(limit) })}
      </p>
      {unsent > 0 && <p className="mt-2 font-medium text-warning">{t("chat.context.unsent", { count: unsent })}</p>}
      {warning && <p className="mt-1 text-warning">{warning}</p>}
      <p className="mt-2 wrap-anywhere text-soft">{t("chat.context.hint", { model })}</p>
    </>
  );
}

const shareOf = ({ prompt_tokens: used, context_length: limit }: ContextView) => (limit ? used / limit : 0);
