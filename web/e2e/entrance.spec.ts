/** Ways in and out, and the connection between. */

import { expect, test } from "./fixtures";
import { ADMIN_STATE, call, HEADERS } from "./people";

test("who is not signed in comes back to where they wanted to go", async ({ page, t, steps, request }) => {
  const name = `back-${process.pid}`;
  const password = "a very long password";
  await request.post("/api/sign-up", { headers: HEADERS, data: { name, password } });
  await page.goto("/settings");
  await page.getByLabel(t("account.name"), { exact: true }).fill(name);
  await page.getByLabel(t("account.password"), { exact: true }).fill("not this one");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("alert")).toBeVisible();
  await page.getByLabel(t("account.password"), { exact: true }).fill(password);
  await steps.button("account.signIn").click();
  await expect(page).toHaveURL(/\/settings/);
});

test("why an identity provider led back in vain", async ({ page, t }) => {
  await page.goto("/?sign_in_error=oidc_refused");
  await expect(page).toHaveURL(/\/sign-in/);
  await expect(page.getByRole("alert")).toHaveText(t("account.signInErrors.oidc_refused"));
  await page.goto("/?sign_in_error=invitation_required");
  await expect(page).toHaveURL(/\/sign-up/);
  await expect(page.getByRole("alert")).toHaveText(t("account.signInErrors.invitation_required"));
  await page.goto("/?sign_in_error=%3Cimg%20src%3Dx%3E");
  await expect(page.getByRole("alert")).toHaveText(t("account.signInErrors.other"));
});

test("who is signed in reads it in passing", async ({ page, person, t }) => {
  expect(person).toBeTruthy();
  await page.goto("/?sign_in_error=identity_taken");
  // The same words are said to screen readers for a moment.
  await expect(page.getByText(t("account.signInErrors.identity_taken")).first()).toBeVisible();
  await expect(page).toHaveURL(/\/$/);
});

test("a session that was ended elsewhere leads to the entrance", async ({ page, person, t, steps, playwright }) => {
  await page.goto("/");
  await expect(steps.composer).toBeVisible();
  const other = await playwright.request.newContext({ baseURL: new URL(page.url()).origin });
  await other.post("/api/sign-in", { headers: HEADERS, data: person });
  await call(other, "POST", "/api/sign-out-everywhere");
  await other.dispose();
  await steps.composer.fill("anybody there?");
  await steps.composer.press("Enter");
  await expect(page.getByRole("heading", { name: t("account.signInTitle") })).toBeVisible();
});

test.describe("with a key to the administrator's room", () => {
  test.use({ storageState: ADMIN_STATE });

  test("an invitation's link holds its code", async ({ page, browser, t }) => {
    const { code } = await call<{ code: string }>(page.request, "POST", "/api/admin/invitations", {});
    const guest = await browser.newContext({ storageState: { cookies: [], origins: [] } });
    const entering = await guest.newPage();
    await entering.goto(new URL(`/sign-up?invitation=${code}`, (await page.goto("/"))?.url()).href);
    await expect(entering.getByLabel(t("account.invitation"))).toHaveValue(code);
    await entering.getByLabel(t("account.name"), { exact: true }).fill(`invited-${process.pid}`);
    await entering.getByLabel(t("account.password"), { exact: true }).fill("a very long password");
    await entering.getByRole("button", { name: t("account.signUp") }).click();
    await expect(entering.getByRole("heading", { name: t("chat.welcome") })).toBeVisible();
    await guest.close();
  });
});

test("a lost connection is told, and forgotten when it is back", async ({ page, person, t, steps, context }) => {
  expect(person).toBeTruthy();
  await page.goto("/");
  await expect(steps.composer).toBeVisible();
  await context.setOffline(true);
  await expect(page.getByText(t("app.offlineBanner"))).toBeVisible();
  await context.setOffline(false);
  await expect(page.getByText(t("app.offlineBanner"))).toBeHidden();
});
