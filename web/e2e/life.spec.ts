/** A person's day with the page, in both languages, at a desk and on a phone. */

import { expect, test } from "./fixtures";

test("ask, and be answered", async ({ page, person, t }) => {
  expect(person.name).toBeTruthy();
  await page.goto("/");
  await page.getByRole("textbox", { name: t("chat.message") }).fill("say: The sky is **blue**.");
  await page.keyboard.press("Enter");
  await expect(page.getByText("The sky is blue.")).toBeVisible();
  await expect(page).toHaveURL(/\/c\//);
});
