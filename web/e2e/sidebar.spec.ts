/** The list of conversations, its folders and its archive; the palette. */

import type { Page } from "@playwright/test";

import { expect, test } from "./fixtures";
import { call } from "./people";

interface Made {
  id: string;
}

const conversation = async (page: Page, title: string) =>
  (await call<Made>(page.request, "POST", "/api/conversations", { title })).id;

test("conversations move in and out of folders", async ({ page, person, t, steps }) => {
  expect(person).toBeTruthy();
  await conversation(page, "Rivers");
  await conversation(page, "Mountains");
  await page.goto("/");
  const list = await steps.sidebar();
  await steps.button("sidebar.newFolder", list).click();
  await page.keyboard.type("旅行");
  await page.keyboard.press("Enter");
  const folder = list.getByRole("button", { name: "旅行", exact: true });
  await expect(folder).toHaveAttribute("aria-expanded", "true");
  await expect(list.getByText(t("sidebar.emptyFolder"))).toBeVisible();

  const inside = list.getByRole("list", { name: "旅行" });
  await list.getByRole("link", { name: "Rivers" }).dragTo(folder);
  await expect(inside.getByRole("link", { name: "Rivers" })).toBeVisible();

  await list.getByRole("button", { name: t("sidebar.optionsOf", { title: "Mountains" }) }).click();
  await page.getByRole("menuitem", { name: t("sidebar.move") }).click();
  await page.getByRole("menuitemradio", { name: "旅行" }).click();
  await expect(inside.getByRole("link")).toHaveCount(2);
  await page.reload();
  await expect(inside.getByRole("link")).toHaveCount(2);

  await list.getByRole("button", { name: t("sidebar.optionsOf", { title: "旅行" }) }).click();
  await page.getByRole("menuitem", { name: t("sidebar.rename") }).click();
  await page.getByRole("textbox", { name: t("sidebar.rename") }).fill("Travel");
  await page.keyboard.press("Enter");
  await expect(list.getByRole("button", { name: "Travel", exact: true })).toBeVisible();

  await list.getByRole("button", { name: t("sidebar.optionsOf", { title: "Travel" }) }).click();
  await page.getByRole("menuitem", { name: t("common.delete") }).click();
  await page
    .getByRole("alertdialog")
    .getByRole("button", { name: t("common.delete") })
    .click();
  await expect(list.getByRole("list", { name: t("sidebar.groups.today") }).getByRole("link")).toHaveCount(2);
});

test("what is archived can be taken back", async ({ page, person, t, steps }) => {
  expect(person).toBeTruthy();
  await conversation(page, "Rivers");
  await page.goto(`/c/${await conversation(page, "Mountains")}`);
  const list = await steps.sidebar();
  await steps.option("Mountains", "sidebar.archive");
  await expect(list.getByRole("link", { name: "Mountains" })).toHaveCount(0);
  await expect(page.getByRole("heading", { name: t("chat.welcome") })).toBeVisible();
  await page.getByRole("button", { name: t("sidebar.undo") }).click();
  await expect(list.getByRole("link", { name: "Mountains" })).toBeVisible();

  await steps.option("Rivers", "sidebar.archive");
  await list.getByRole("button", { name: t("sidebar.userMenu", { name: person.name }) }).click();
  await page.getByRole("menuitem", { name: t("sidebar.archivedOnes") }).click();
  const archive = page.getByRole("dialog", { name: t("sidebar.archivedOnes") });
  await archive.getByRole("button", { name: t("sidebar.unarchive", { title: "Rivers" }) }).click();
  await expect(archive.getByText(t("sidebar.emptyArchive"))).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(list.getByRole("link", { name: "Rivers" })).toBeVisible();
});

test("a long list loads as one scrolls", async ({ page, person, steps }) => {
  expect(person).toBeTruthy();
  for (let number = 1; number <= 60; number++) await conversation(page, `Number ${number}`);
  await page.goto("/");
  const list = await steps.sidebar();
  const links = list.locator("li a");
  await expect(links).toHaveCount(50);
  await links.last().scrollIntoViewIfNeeded();
  await expect(links).toHaveCount(60);
  await expect(links.last()).toHaveText("Number 1");
});

test("a search leads to the message, on whichever branch it is", async ({ page, person, t, steps }) => {
  expect(person).toBeTruthy();
  await steps.talk("The heron waits.");
  await steps.message(0).hover();
  await steps.button("chat.edit", steps.message(0)).click();
  await page.getByRole("textbox", { name: t("chat.editQuestion") }).fill("say: The kingfisher dives.");
  await steps.button("chat.send", steps.message(0)).click();
  await steps.answered(1);
  await steps
    .button("sidebar.newChat")
    .or(page.getByRole("link", { name: t("sidebar.newChat") }))
    .first()
    .click();

  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill("heron wait");
  const hits = page.getByRole("option").filter({ hasText: "The heron waits." });
  await expect(hits.locator("mark").first()).toHaveText("heron");
  await hits.last().click();
  await expect(steps.message(1)).toContainText("The heron waits.");
  await expect(steps.message(1)).toBeInViewport();
});

test("the keys of the page", async ({ page, person, t, steps }) => {
  expect(person).toBeTruthy();
  await page.goto("/settings");
  await steps.sidebar();
  await expect(page.getByRole("button", { name: t("sidebar.search") })).toBeVisible();
  const palette = page.getByRole("dialog", { name: t("palette.title") });
  await page.keyboard.press("Control+k");
  await expect(palette).toBeVisible();
  await page.keyboard.type(t("palette.toDark"));
  await page.keyboard.press("Enter");
  await expect(page.locator("html")).toHaveClass(/dark/);
  await expect(palette).toBeHidden();
  await page.keyboard.press("Control+/");
  await expect(page.getByRole("dialog", { name: t("shortcuts.title") })).toBeVisible();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+Shift+O");
  await expect(page).toHaveURL(/\/$/);
  await page.keyboard.press("Control+Shift+S");
  await expect(steps.button("sidebar.unfold")).toBeVisible();
  await page.reload();
  await steps.button("sidebar.unfold").click();
  await page.locator("body").click();
  await page.keyboard.press("Shift+Escape");
  await expect(steps.composer).toBeFocused();
});
