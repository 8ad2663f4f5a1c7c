import { useSuspenseQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { useState, type SubmitEvent } from "react";
import { useTranslation } from "react-i18next";

import { useSignIn } from "@/account/enter";
import { Frame } from "@/account/frame";
import { ProviderButton } from "@/account/provider-button";
import { Notice, Refusal, useWait } from "@/account/refusal";
import { signInErrorKey } from "@/account/sign-in-error";
import { setupQuery } from "@/api/session";
import { Button } from "@/ui/button";
import { Field } from "@/ui/field";
import { PasswordField } from "@/ui/password-field";

export function SignInPage() {
  const { t } = useTranslation();
  const { data: setup } = useSuspenseQuery(setupQuery);
  const { to, error } = useSearch({ from: "/sign-in" });
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const signIn = useSignIn(to);
  const wait = useWait(signIn.error);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    signIn.mutate({ name, password });
  };
  return (
    <Frame title={t("account.signInTitle")}>
      <form onSubmit={submit} noValidate className="space-y-5">
        {error && !signIn.error && <Notice>{t(signInErrorKey(error))}</Notice>}
        <Refusal error={signIn.error} wait={wait} />
        <Field
          label={t("account.name")}
          value={name}
          onChange={(event) => setName(event.target.value)}
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          autoFocus
          required
          maxLength={200}
        />
        <PasswordField
          label={t("account.password")}
          value={password}
          onChange={(event) => setPassword(event.target.value)}
          autoComplete="current-password"
          required
          maxLength={1024}
        />
        <Button type="submit" look="solid" className="h-11 w-full" disabled={signIn.isPending || wait > 0}>
          {t("account.signIn")}
        </Button>
      </form>
      {setup.oidc && <ProviderButton invitation={null} />}
      {setup.sign_up !== "closed" && (
        <p className="mt-6 text-center text-sm text-soft">
          {t("account.noAccount")}{" "}
          <Link to="/sign-up" search={{ to }} className="font-medium text-accent underline-offset-4 hover:underline">
            {t("account.signUp")}
          </Link>
        </p>
      )}
    </Frame>
  );
}
