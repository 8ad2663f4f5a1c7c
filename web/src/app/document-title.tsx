import { useQuery } from "@tanstack/react-query";
import { useParams, useRouterState } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import { useTitle } from "@/app/title";
import { conversationQuery } from "@/chat/queries";

/** The browser's tab says which conversation or which page is shown. */
export function DocumentTitle() {
  const { t } = useTranslation();
  const { conversationId } = useParams({ strict: false });
  const path = useRouterState({ select: ({ location }) => location.pathname });
  // Only what the page itself has asked for: a title is no reason for a request.
  const { data } = useQuery({ ...conversationQuery(conversationId ?? ""), enabled: false });
  useTitle(
    conversationId
      ? data?.title || t("sidebar.untitled")
      : path.startsWith("/settings")
        ? t("sidebar.settings")
        : path.startsWith("/admin")
          ? t("sidebar.admin")
          : path === "/temporary"
            ? t("chat.temporary.title")
            : undefined,
  );
  return null;
}
