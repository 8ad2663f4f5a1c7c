import { CloudOff, Hourglass } from "lucide-react";
import { useEffect, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { useConnection } from "@/app/connection";
import { forgetLimit, useLimit, type Limit } from "@/chat/limit/limit";
import { waitingTime } from "@/chat/limit/waiting-time";

/** Whether nothing can be sent just now. */
export const useHeldBack = (): boolean => {
  const limited = useLimit(({ limit }) => limit !== null);
  const reachable = useConnection((state) => state.reachable);
  return limited || !reachable;
};

/** Above the composer: why nothing can be sent just now, and for how long. What is written stays. */
export function ComposerNote() {
  const { t } = useTranslation();
  const limit = useLimit((state) => state.limit);
  const reachable = useConnection((state) => state.reachable);
  return (
    <div role="status">
      {!reachable ? (
        <Note icon={<CloudOff className="mt-0.5 size-4 shrink-0" aria-hidden />}>{t("chat.limit.offline")}</Note>
      ) : (
        limit && (
          <Note icon={<Hourglass className="mt-0.5 size-4 shrink-0" aria-hidden />}>
            {limit.message} <Countdown limit={limit} />
          </Note>
        )
      )}
    </div>
  );
}

function Note({ icon, children }: { icon: ReactNode; children: ReactNode }) {
  return (
    <p className="mb-2 flex items-start gap-2 rounded-xl bg-warning-soft px-4 py-2.5 text-sm text-warning">
      {icon}
      <span className="min-w-0 wrap-anywhere">{children}</span>
    </p>
  );
}

/** Counts down, silently: nobody wants to hear every second. */
function Countdown({ limit }: { limit: Limit }) {
  const { t, i18n } = useTranslation();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      setNow(Date.now());
      if (Date.now() >= limit.untilMs) forgetLimit();
    }, 1000);
    return () => clearInterval(timer);
  }, [limit]);
  const time = waitingTime(limit.untilMs, now, i18n.language);
  return (
    <span role="timer" aria-live="off" className="font-medium whitespace-nowrap tabular-nums">
      {"left" in time ? t("chat.limit.left", { time: time.left }) : t("chat.limit.at", { time: time.at })}
    </span>
  );
}
