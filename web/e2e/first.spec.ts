/** The first account of a fresh server, which administers it. What it prepares, the other tests use. */

import { expect, test } from "./fixtures";
import { ADMIN, ADMIN_STATE, call } from "./people";
import { MODEL } from "./scripted-model";

test("the first to sign up administers the server", async ({ page, t, steps }) => {
  await page.goto("/");
  await expect(page.getByRole("heading", { name: t("account.firstTitle") })).toBeVisible();
  await page.getByLabel(t("account.name"), { exact: true }).fill(ADMIN.name);
  await page.getByLabel(t("account.password"), { exact: true }).fill(ADMIN.password);
  await steps.button("account.firstSubmit").click();
  await expect(steps.composer).toBeVisible();
  expect(await call(page.request, "GET", "/api/me")).toMatchObject({ name: ADMIN.name, role: "admin" });

  const upstream = await call<{ id: string }>(page.request, "POST", "/api/admin/upstreams", {
    name: "scripted",
    base_url: process.env.SCRIPTED_MODEL,
    allow_private: true,
  });
  await call(page.request, "POST", "/api/admin/models", {
    name: MODEL,
    kind: "upstream",
    source: MODEL,
    upstream_id: upstream.id,
    options: { context_length: 8192 },
  });
  await call(page.request, "POST", `/api/admin/models/${MODEL}/default`);
  await page.context().storageState({ path: ADMIN_STATE });
});
