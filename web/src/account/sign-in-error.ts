/** What the server says in the address when an identity provider led somebody back in vain. */

const KNOWN = [
  "oidc_refused",
  "oidc_state",
  "oidc_not_signed_in",
  "identity_taken",
  "account_disabled",
  "sign_up_closed",
  "invitation_required",
  "invalid_invitation",
  "rate_limit_exceeded",
] as const;

type Known = (typeof KNOWN)[number];

/** The key of the sentence for a code; what this page does not know is simply a failure. */
export function signInErrorKey(code: string): `account.signInErrors.${Known | "other"}` {
  const known = KNOWN.find((name) => name === code);
  return `account.signInErrors.${known ?? "other"}`;
}

/** Whether the person has to bring an invitation, and so belongs on the page where one is entered. */
export const wantsInvitation = (code: string | undefined): boolean =>
  code === "invitation_required" || code === "invalid_invitation";
