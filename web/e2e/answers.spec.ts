/** The server owns an answer; browsers only watch. */

import { expect, test } from "./fixtures";

test("two tabs watch one answer, and either may stop it", async ({
  page,
  person,
  steps,
  context,
  t,
  guard,
  baseURL,
}) => {
  expect(person).toBeTruthy();
  await page.goto("/");
  const words = Array.from({ length: 200 }, (_, index) => `w${index + 1}`).join(" ");
  await steps.ask(`say 25/s: ${words}`);
  await expect(steps.message(1)).toContainText("w5");

  const second = await context.newPage();
  await guard.watch(second, new URL(baseURL ?? "").origin);
  await second.goto(page.url());
  const watched = second.locator("[data-message]").nth(1);
  await expect(watched).toContainText("w1 w2 w3");
  await expect(watched).toContainText("w20");
  await second.getByRole("button", { name: t("chat.stop"), exact: true }).click();
  for (const answer of [steps.message(1), watched]) await expect(answer).toContainText(t("chat.ending.stopped"));
  expect(await steps.message(1).locator(".markdown").innerText()).toBe(await watched.locator(".markdown").innerText());
});
