/** SECURITY-CASES 9 and 16: hostile texts in every place. The guard of each test fails it for whatever runs or fetches. */

import { chatgptZip } from "./chatgpt-export";
import { ANSWERS, NAMES } from "./corpus";
import { expect, test } from "./fixtures";
import { expectHarmless } from "./harmless";
import { ADMIN_STATE, call, HEADERS } from "./people";
import { MODEL } from "./scripted-model";

test("imported titles, questions and answers", async ({ page, person }) => {
  expect(person.name).toBeTruthy();
  const said = ANSWERS.flatMap(
    (text) =>
      [
        { role: "user", text },
        { role: "assistant", text: `before\n\n${text}\n\nafter` },
      ] as const,
  );
  const conversations = [{ title: "Everything", said }, ...NAMES.map((title) => ({ title, said: said.slice(0, 2) }))];
  const begun = await page.request.post("/api/imports", {
    headers: HEADERS,
    multipart: {
      file: { name: `${NAMES[0]}.zip`, mimeType: "application/zip", buffer: chatgptZip(conversations) },
    },
  });
  const { id } = (await begun.json()) as { id: string };
  await expect
    .poll(async () => await call(page.request, "GET", `/api/imports/${id}`))
    .toMatchObject({ status: "complete", conversations: conversations.length });

  const { data } = await call<{ data: { id: string; title: string }[] }>(
    page.request,
    "GET",
    "/api/conversations?limit=100",
  );
  const whole = data.find(({ title }) => title === "Everything");
  await page.goto(`/c/${whole?.id}`);
  await expect(page.locator("[data-message]")).toHaveCount(said.length);
  await page.locator(".markdown").first().waitFor();
  await expect(page.getByText("before")).toHaveCount(ANSWERS.length);
  // What is out of sight is drawn when somebody comes near.
  for (const row of await page.locator("[data-message]").all()) await row.scrollIntoViewIfNeeded();
  await expect(page.locator("[data-message] .markdown")).toHaveCount(ANSWERS.length);
  await expectHarmless(page);
  for (const hostile of data.slice(0, 3)) {
    await page.goto(`/c/${hostile.id}`);
    await page.locator("[data-message]").first().waitFor();
    await expectHarmless(page);
  }
});

test("an answer while it is written", async ({ page, person, t }) => {
  expect(person.name).toBeTruthy();
  await page.goto("/");
  await page.getByRole("textbox", { name: t("chat.message") }).fill(`say 400/s: ${ANSWERS.join("\n\n")}\n\nthe end`);
  await page.keyboard.press("Enter");
  await expect(page.locator("[data-message] .markdown").getByText("the end")).toBeVisible({ timeout: 30_000 });
  await expectHarmless(page);
});

test.describe("what administrators see", () => {
  test.use({ storageState: ADMIN_STATE });

  test("names of models, keys, invitations, folders, files and people's notes", async ({ page }) => {
    const { data: upstreams } = await call<{ data: { id: string }[] }>(page.request, "GET", "/api/admin/upstreams");
    const named: string[] = [];
    for (const name of NAMES) {
      const model = { name, kind: "upstream", source: MODEL, upstream_id: upstreams[0]?.id };
      for (const [path, body] of [
        ["/api/admin/models", model],
        ["/api/me/keys", { name }],
        ["/api/admin/invitations", { note: name }],
        ["/api/folders", { name }],
      ] as const) {
        const made = await page.request.post(path, { headers: HEADERS, data: body });
        if (made.ok()) named.push(`${path} ${name}`);
      }
    }
    expect(named.length).toBeGreaterThan(NAMES.length);
    const { id } = await call<{ id: string }>(page.request, "POST", "/api/conversations", { title: NAMES[0] });
    const asked = await call<{ messages: { id: string }[] }>(
      page.request,
      "POST",
      `/api/conversations/${id}/messages`,
      { content: "say: hello", attachments: NAMES.map((name) => ({ name, text: name })) },
    );
    const answer = asked.messages[0]?.id ?? "";
    await expect
      .poll(async () => await call(page.request, "GET", `/api/messages/${answer}`))
      .toMatchObject({ status: "complete" });
    await call(page.request, "PUT", `/api/messages/${answer}/rating`, { thumb: -1, comment: NAMES.join(" ") });

    for (const address of [`/c/${id}`, ...PLACES]) {
      await page.goto(address);
      await page.waitForLoadState("networkidle");
      await expectHarmless(page);
    }
  });
});

const PLACES = ["/", "/settings/keys", "/settings/data", "/admin", "/admin/models", "/admin/feedback", "/admin/audit"];
