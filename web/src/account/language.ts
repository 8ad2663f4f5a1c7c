import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";

import type { Me } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { meQuery } from "@/api/session";
import { setLanguage, storedLanguage, type Language } from "@/i18n";

/** The page's language, and how to choose another: for this browser at once, and for the account's other ones. */
export function useLanguage(): [Language, (language: Language) => void] {
  const { i18n } = useTranslation();
  const queries = useQueryClient();
  const choose = (language: Language) => {
    setLanguage(language);
    request<Me>("/api/me", { method: "PATCH", body: { language } }).then(
      (me) => queries.setQueryData(meQuery.queryKey, me),
      () => undefined, // this browser remembers it all the same
    );
  };
  return [i18n.language === "zh" ? "zh" : "en", choose];
}

/** The page speaks the language that the account has chosen, in whichever browser. */
export function useAccountLanguage(): void {
  const { data: me } = useQuery(meQuery);
  const language = me?.language;
  useEffect(() => {
    if (language && language !== storedLanguage()) setLanguage(language);
  }, [language]);
}
