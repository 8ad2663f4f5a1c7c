/** The first account of a fresh server, which administers it. What it prepares, the other tests use. */

import { expect, test } from "./fixtures";
import { ADMIN, ADMIN_STATE, call, HEADERS } from "./people";
import { MODEL } from "./scripted-model";

test("the first to sign up administers the server", async ({ page }) => {
  const response = await page.request.post("/api/sign-up", { headers: HEADERS, data: ADMIN });
  expect(response.ok(), await response.text()).toBe(true);
  await page.goto("/");

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
