/** Accounts, made without the page where the page's own forms are not what is tried. */

import { expect, type APIRequestContext } from "@playwright/test";

/** What the server wants from everybody who changes something. */
export const HEADERS = { "X-Requested-With": "chatwright" };

export const ADMIN = { name: "ada", password: "correct horse battery staple" };
export const ADMIN_STATE = "test-results/admin.json";

let made = 0;

/**
 * Somebody new, signed in: the cookie is in the request's jar, which the page of the same context shares. An account
 * speaks the language in which it was made.
 */
export async function signUp(request: APIRequestContext, locale = "en"): Promise<{ name: string; password: string }> {
  const name = `guest-${process.pid}-${++made}`;
  const password = `a long password of ${name}`;
  const response = await request.post("/api/sign-up", {
    headers: { ...HEADERS, "Accept-Language": locale },
    data: { name, password },
  });
  expect(response.ok(), await response.text()).toBe(true);
  return { name, password };
}

/** The JSON of a request of this person; fails on any refusal. */
export async function call<T>(
  request: APIRequestContext,
  method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE",
  path: string,
  data?: unknown,
): Promise<T> {
  const response = await request.fetch(path, { method, headers: HEADERS, ...(data === undefined ? {} : { data }) });
  expect(response.ok(), `${method} ${path}: ${await response.text()}`).toBe(true);
  return (response.status() === 204 ? undefined : await response.json()) as T;
}
