/** What administrators do with what others left. */

import { expect, test } from "./fixtures";
import { ADMIN, ADMIN_STATE } from "./people";

test.use({ storageState: ADMIN_STATE });

test("ratings are found by their thumb", async ({ page, t, steps }) => {
  await steps.talk("a fine answer");
  await steps.button("chat.feedback.good", steps.message(1)).click();
  await expect(page.getByText(t("chat.feedback.whyGood"))).toBeVisible();
  await page.goto("/admin/feedback");
  const panel = page.getByRole("region", { name: t("admin.feedback.ratings") });
  const choose = (thumb: string) =>
    panel.getByLabel(t("admin.feedback.thumb")).selectOption({ label: t(`admin.feedback.thumbs.${thumb}`) });
  const own = panel.getByText(ADMIN.name, { exact: true }); // others may be rating, too
  await expect(own.first()).toBeVisible();
  await choose("-1");
  await expect(own).toHaveCount(0);
  await choose("1");
  await expect(own.first()).toBeVisible();
});

test("addresses of nothing lead home", async ({ page, t, steps }) => {
  for (const address of ["/nothing/at/all", "/admin/nothing/else", "/settings/nothing"]) {
    await page.goto(address);
    await expect(page.getByText(t("app.notFound"))).toBeVisible();
  }
  await page.getByRole("link", { name: t("app.home") }).click();
  await expect(steps.composer).toBeVisible();
});
