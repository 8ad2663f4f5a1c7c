/** Whoever has no mouse signs in, asks, stops, finds and sets. */

import type { Locator, Page } from "@playwright/test";

import { expect, test } from "./fixtures";
import { HEADERS } from "./people";

const FARTHEST = 40;

/** Go from control to control until the wanted one has the keyboard. */
async function tabTo(page: Page, wanted: Locator): Promise<void> {
  await wanted.waitFor();
  for (let step = 0; step < FARTHEST; step += 1) {
    if (await wanted.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  await expect(wanted, `${FARTHEST} presses of Tab do not lead there`).toBeFocused({ timeout: 1 });
}

test("everything by keyboard", async ({ page, request, t, steps }) => {
  const name = `keys-${process.pid}-${Date.now()}`;
  const password = "a very long password";
  await request.post("/api/sign-up", { headers: HEADERS, data: { name, password } });

  await page.goto("/");
  await tabTo(page, page.getByLabel(t("account.name"), { exact: true }));
  await page.keyboard.type(name);
  await tabTo(page, page.getByLabel(t("account.password"), { exact: true }));
  await page.keyboard.type(password);
  await page.keyboard.press("Enter");

  await expect(steps.composer).toBeFocused();
  await page.keyboard.type(`say: So far [wait ${name}] and no further.`);
  await page.keyboard.press("Enter");
  await expect(steps.message(1)).toContainText("So far");
  await page.keyboard.press("Escape");
  await expect(steps.message(1)).toContainText(t("chat.ending.stopped"));
  await expect(steps.composer).toBeFocused();

  await page.keyboard.type(`say: Again [wait ${name}] and no further.`);
  await page.keyboard.press("Enter");
  await expect(steps.message(3)).toContainText("Again");
  await tabTo(page, steps.button("chat.stop"));
  await page.keyboard.press("Enter");
  await expect(steps.message(3)).toContainText(t("chat.ending.stopped"));

  await tabTo(page, steps.button("chat.regenerate", steps.message(3)));
  await page.keyboard.press("Enter");
  await expect(steps.button("chat.stop")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(steps.message(3)).toContainText("2/2");

  await page.keyboard.press("Control+k");
  await expect(page.getByRole("combobox")).toBeFocused();
  await page.keyboard.type(t("sidebar.settings"));
  await expect(page.getByRole("option", { name: t("sidebar.settings") })).toHaveAttribute("aria-selected", "true");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/settings/);
  const keys = page.getByRole("link", { name: t("settings.keys.title") });
  await tabTo(page, keys);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/settings\/keys/);

  const menu = page.getByRole("button", { name: t("sidebar.userMenu", { name }) });
  await tabTo(page, menu);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("menu")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(menu).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("menuitem").first()).toBeFocused();
  await page.keyboard.press("End");
  await expect(page.getByRole("menuitem", { name: t("account.signOut") })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: t("account.signInTitle") })).toBeVisible();
});
