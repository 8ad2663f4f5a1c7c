import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Trans, useTranslation } from "react-i18next";

import { meQuery } from "@/api/session";

/** Says whether judgements may teach the next model, and where that is decided. */
export function ConsentHint() {
  const { t } = useTranslation();
  const { data: me } = useQuery(meQuery);
  if (!me) return null;
  return (
    <p className="min-w-0 flex-1 basis-56 text-xs text-soft">
      <Trans
        t={t}
        i18nKey={me.training_consent ? "chat.feedback.consents" : "chat.feedback.consentsNot"}
        components={{
          settings: <Link to="/settings/$section" params={{ section: "privacy" }} className="text-accent underline" />,
        }}
      />
    </p>
  );
}
