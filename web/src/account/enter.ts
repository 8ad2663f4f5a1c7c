/** The ways in: a password, a new account, an identity provider. */

import { useMutation, useQueryClient, type UseMutationResult } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";

import type { Credentials, Me, NewAccount, OidcPlace, OidcStart } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { meQuery } from "@/api/session";
import { safePlace } from "@/app/places";
import { setLanguage } from "@/i18n";

type Enter<Body> = UseMutationResult<Me, unknown, Body>;

function useEnter<Body>(path: string, to: string | undefined): Enter<Body> {
  const queries = useQueryClient();
  const router = useRouter();
  return useMutation({
    mutationFn: (body: Body) => request<Me>(path, { method: "POST", body }),
    onSuccess: (me) => {
      queries.clear(); // nothing of who was here before
      queries.setQueryData(meQuery.queryKey, me);
      if (me.language) setLanguage(me.language);
      router.history.replace(safePlace(to));
    },
  });
}

export const useSignIn = (to: string | undefined) => useEnter<Credentials>("/api/sign-in", to);
export const useSignUp = (to: string | undefined) => useEnter<NewAccount>("/api/sign-up", to);

/** Leads away to the identity provider to link the account, and back. */
export function useLink(): UseMutationResult<OidcPlace, Error, void> {
  return useMutation({
    mutationFn: () => request<OidcPlace>("/api/oidc/start", { method: "POST", body: { link: true } }),
    onSuccess: ({ url }) => window.location.assign(url),
  });
}

/** Leads away to the identity provider, which leads back to the start. */
export function useProvider(): UseMutationResult<OidcPlace, unknown, Pick<OidcStart, "invitation" | "again">> {
  return useMutation({
    mutationFn: (body) => request<OidcPlace>("/api/oidc/start", { method: "POST", body }),
    onSuccess: ({ url }) => window.location.assign(url),
  });
}
