import { useSuspenseQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { ShieldCheck } from "lucide-react";
import { useState, type SubmitEvent } from "react";
import { useTranslation } from "react-i18next";

import { useSignUp } from "@/account/enter";
import { Frame } from "@/account/frame";
import { ProviderButton } from "@/account/provider-button";
import { errorOf, Notice, Refusal, useWait } from "@/account/refusal";
import { signInErrorKey } from "@/account/sign-in-error";
import { setupQuery } from "@/api/session";
import { Button } from "@/ui/button";
import { Field } from "@/ui/field";
import { PasswordField } from "@/ui/password-field";

const FIELDS = ["name", "password", "invitation"];
const MIN_PASSWORD_CHARS = 8;

export function SignUpPage() {
  const { t } = useTranslation();
  const { data: setup } = useSuspenseQuery(setupQuery);
  const { to, error, invitation: invited } = useSearch({ from: "/sign-up" });
  const first = !setup.first_account;
  const closed = !first && setup.sign_up === "closed";
  const byInvitation = !first && (setup.sign_up === "invitation" || invited !== undefined);
  const [invitation, setInvitation] = useState(invited ?? "");
  return (
    <Frame
      title={t(first ? "account.firstTitle" : "account.signUpTitle")}
      {...(first ? { intro: t("account.firstIntro") } : {})}
    >
      {closed ? (
        <p className="text-soft">{t("account.closed")}</p>
      ) : (
        <>
          {error && (
            <div className="mb-5">
              <Notice>{t(signInErrorKey(error))}</Notice>
            </div>
          )}
          <SignUpForm
            to={to}
            first={first}
            {...(byInvitation ? { invitation, onInvitationChange: setInvitation } : {})}
          />
          {setup.oidc && <ProviderButton invitation={invitation.trim() || null} />}
        </>
      )}
      {!first && (
        <p className="mt-6 text-center text-sm text-soft">
          {t("account.haveAccount")}{" "}
          <Link to="/sign-in" search={{ to }} className="font-medium text-accent underline-offset-4 hover:underline">
            {t("account.signIn")}
          </Link>
        </p>
      )}
    </Frame>
  );
}

interface SignUpFormProps {
  to: string | undefined;
  first: boolean;
  /** Only where one is needed. */
  invitation?: string;
  onInvitationChange?: (code: string) => void;
}

function SignUpForm({ to, first, invitation, onInvitationChange }: SignUpFormProps) {
  const { t } = useTranslation();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const signUp = useSignUp(to);
  const wait = useWait(signUp.error);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    signUp.mutate({ name, password, invitation: invitation?.trim() || null });
  };
  return (
    <form onSubmit={submit} noValidate className="space-y-5">
      {first && (
        <p className="flex items-start gap-2 rounded-lg bg-accent-soft px-3 py-2.5 text-sm">
          <ShieldCheck className="mt-0.5 size-4 shrink-0 text-accent" aria-hidden />
          {t("account.firstHint")}
        </p>
      )}
      <Refusal error={signUp.error} wait={wait} fields={FIELDS} />
      {onInvitationChange && (
        <Field
          label={t("account.invitation")}
          hint={t("account.invitationHint")}
          error={errorOf(signUp.error, "invitation")}
          value={invitation}
          onChange={(event) => onInvitationChange(event.target.value)}
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          required
          maxLength={200}
        />
      )}
      <Field
        label={t("account.name")}
        error={errorOf(signUp.error, "name")}
        value={name}
        onChange={(event) => setName(event.target.value)}
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        autoFocus
        required
        maxLength={64}
      />
      <PasswordField
        label={t("account.password")}
        hint={t("account.passwordHint", { count: MIN_PASSWORD_CHARS })}
        error={errorOf(signUp.error, "password")}
        value={password}
        onChange={(event) => setPassword(event.target.value)}
        autoComplete="new-password"
        required
        minLength={MIN_PASSWORD_CHARS}
        maxLength={1024}
      />
      <Button type="submit" look="solid" className="h-11 w-full" disabled={signUp.isPending || wait > 0}>
        {t(first ? "account.firstSubmit" : "account.signUp")}
      </Button>
    </form>
  );
}
