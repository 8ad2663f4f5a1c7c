/** The server owns an answer; browsers only watch. */

import { expect, test } from "./fixtures";
import { goOn } from "./scripted-model";

test("two tabs watch one answer, and either may stop it", async ({
  page,
  person,
  steps,
  context,
  t,
  guard,
  baseURL,
}) => {
  const [once, twice] = [`${person.name}-1`, `${person.name}-2`];
  await page.goto("/");
  await steps.ask(`say: One [wait ${once}] two [wait ${twice}] three.`);
  await expect(steps.message(1)).toContainText("One");

  const second = await context.newPage();
  await guard.watch(second, new URL(baseURL ?? "").origin);
  await second.goto(page.url());
  const watched = second.locator("[data-message]").nth(1);
  await expect(watched).toContainText("One");
  await goOn(once);
  for (const answer of [steps.message(1), watched]) await expect(answer).toContainText("One two");
  await second.getByRole("button", { name: t("chat.stop"), exact: true }).click();
  for (const answer of [steps.message(1), watched]) await expect(answer).toContainText(t("chat.ending.stopped"));
  for (const answer of [steps.message(1), watched]) await expect(answer).not.toContainText("three");
});
