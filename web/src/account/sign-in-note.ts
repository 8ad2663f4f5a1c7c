import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";

import { signInErrorKey } from "@/account/sign-in-error";
import { tell } from "@/ui/toast";

/** Who is signed in and wanted to link an identity in vain is told why; the address is cleaned. */
export function useSignInError(): void {
  const { sign_in_error: code } = useSearch({ from: "/home" });
  const navigate = useNavigate();
  const { t } = useTranslation();
  useEffect(() => {
    if (code === undefined) return;
    tell(t(signInErrorKey(code)));
    void navigate({ to: ".", search: {}, replace: true });
  }, [code, navigate, t]);
}
