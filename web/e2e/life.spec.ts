/** A person's days with the page, in both languages, at a desk and on a phone. */

import { chatgptZip } from "./chatgpt-export";
import { expect, test } from "./fixtures";
import { call } from "./people";
import { goOn } from "./scripted-model";

test("sign up, ask, sign out, sign in again", async ({ page, t, steps }) => {
  const name = `life-${Date.now()}-${process.pid}`;
  const password = "纸船 sails over the 山";
  await page.goto("/");
  await page.getByRole("link", { name: t("account.signUp") }).click();
  await expect(page.getByRole("heading", { name: t("account.signUpTitle") })).toBeVisible();
  await page.getByLabel(t("account.name"), { exact: true }).fill(name);
  await page.getByLabel(t("account.password"), { exact: true }).fill("short");
  await steps.button("account.signUp").click();
  await expect(page.getByLabel(t("account.password"), { exact: true })).toHaveAttribute("aria-invalid", "true");
  await page.getByLabel(t("account.password"), { exact: true }).fill(password);
  await steps.button("account.signUp").click();

  await expect(page.getByRole("heading", { name: t("chat.welcome") })).toBeVisible();
  await steps.ask("say: The sky is **blue**; 天空是**蓝色**的。");
  await expect(steps.message(1)).toContainText("The sky is blue; 天空是蓝色的。");
  await steps.answered(1);

  const list = await steps.sidebar();
  await list.getByRole("button", { name: t("sidebar.userMenu", { name }) }).click();
  await page.getByRole("menuitem", { name: t("account.signOut") }).click();
  await expect(page.getByRole("heading", { name: t("account.signInTitle") })).toBeVisible();
  await page.goBack();
  await expect(steps.message(1)).not.toBeVisible();
  await page.goto("/");
  await page.getByLabel(t("account.name"), { exact: true }).fill(name);
  await page.getByLabel(t("account.password"), { exact: true }).fill(password);
  await steps.button("account.signIn").click();
  await expect(steps.composer).toBeVisible();
});

test("an answer outlives a reload in its middle", async ({ page, person, steps }) => {
  await page.goto("/");
  await steps.ask(`say: The first half [wait ${person.name}] and the second.`);
  await expect(steps.message(1)).toContainText("The first half");
  await page.reload();
  await expect(steps.message(1)).toContainText("The first half");
  await expect(steps.button("chat.stop")).toBeVisible();
  await goOn(person.name);
  await expect(steps.message(1)).toContainText("The first half and the second.");
  await steps.answered(1);
});

test("stop, edit, answer again, and go back and forth between the branches", async ({ page, person, t, steps }) => {
  expect(person).toBeTruthy();
  await page.goto("/");
  await steps.ask(`say: Only so far [wait ${person.name}] and no further.`);
  await expect(steps.message(1)).toContainText("Only so far");
  await steps.button("chat.stop").click();
  await expect(steps.message(1)).toContainText(t("chat.ending.stopped"));
  await expect(steps.message(1)).not.toContainText("further");

  await steps.message(0).hover();
  await steps.button("chat.edit", steps.message(0)).click();
  await page.getByRole("textbox", { name: t("chat.editQuestion") }).fill("say: Something else.");
  await steps.button("chat.send", steps.message(0)).click();
  await expect(steps.message(1)).toContainText("Something else.");
  await steps.answered(1);

  await steps.message(0).hover();
  await steps.button("chat.previous", steps.message(0)).click();
  await expect(steps.message(1)).toContainText("Only so far");
  await steps.message(0).hover();
  await steps.button("chat.next", steps.message(0)).click();
  await expect(steps.message(1)).toContainText("Something else.");

  await steps.button("chat.regenerate", steps.message(1)).click();
  await expect(steps.button("chat.previous", steps.message(1))).toBeVisible();
  await steps.answered(1);
  await expect(steps.message(1)).toContainText("2/2");

  const good = steps.button("chat.feedback.good", steps.message(1));
  const bad = steps.button("chat.feedback.bad", steps.message(1));
  await good.click();
  await expect(good).toHaveAttribute("aria-pressed", "true");
  await bad.click();
  await page.getByRole("button", { name: t("chat.feedback.reason.incorrect"), exact: true }).click();
  const reasons = page.getByRole("form", { name: t("chat.feedback.title") });
  await steps.button("chat.feedback.send", reasons).click();
  await expect(reasons).toBeHidden();

  await page.reload();
  await expect(steps.message(1)).toContainText("2/2");
  await expect(bad).toHaveAttribute("aria-pressed", "true");
  await expect(good).toHaveAttribute("aria-pressed", "false");
});

test("a temporary chat leaves no trace", async ({ page, person, t, steps, isMobile }) => {
  await steps.talk("This one is kept.");
  await steps.rename("Kept");
  await page.goto("/");
  await steps.button("chat.temporary.begin").click();
  await expect(page.getByRole("heading", { name: t("chat.temporary.welcome") })).toBeVisible();
  const word = `heron${person.name.replaceAll("-", "")}`;
  for (const place of [1, 3]) {
    await steps.composer.fill(`say: The ${word} waits.`);
    await steps.composer.press("Enter");
    await expect(steps.message(place)).toContainText(`The ${word} waits.`);
    await steps.answered(place);
  }
  await expect(page).toHaveURL(/\/temporary$/);

  // Not by a slip of the finger.
  await steps.button("chat.temporary.leave").click();
  const question = page.getByRole("alertdialog", { name: t("chat.temporary.leaveTitle") });
  await steps.button("common.cancel", question).click();
  await expect(steps.message(3)).toBeVisible();

  const asked = page.waitForEvent("dialog");
  await page.reload();
  expect((await asked).type()).toBe("beforeunload");
  await expect(page.getByRole("heading", { name: t("chat.temporary.welcome") })).toBeVisible();
  await expect(page.locator("[data-message]")).toHaveCount(0);
  const list = await steps.sidebar();
  await expect(list.getByRole("link", { name: "Kept" })).toBeVisible();
  await expect(list.getByText(word)).toHaveCount(0);
  if (isMobile) await page.keyboard.press("Escape");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill(word);
  await expect(page.getByText(t("palette.nothing", { words: word }))).toBeVisible();
  const { data } = await call<{ data: { title: string }[] }>(page.request, "GET", "/api/conversations");
  expect(data.map(({ title }) => title)).toEqual(["Kept"]);
});

test("share a conversation, and take the link back", async ({ page, person, browser, t, steps, contextOptions }) => {
  expect(person).toBeTruthy();
  await steps.talk("Rivers run to the sea.");
  const title = await steps.rename("Rivers");
  await steps.option(title, "sidebar.share");
  const dialog = page.getByRole("dialog", { name: t("share.title") });
  await steps.button("share.create", dialog).click();
  const link = await dialog.getByRole("link", { name: t("share.open") }).getAttribute("href");

  const stranger = await browser.newContext({ ...contextOptions, storageState: { cookies: [], origins: [] } });
  const reading = await stranger.newPage();
  await reading.goto(new URL(link ?? "", page.url()).href);
  await expect(reading.getByRole("heading", { name: title })).toBeVisible();
  await expect(reading.getByText("Rivers run to the sea.", { exact: true })).toBeVisible();
  await expect(reading.getByText(person.name)).toHaveCount(0);

  await steps.button("share.revoke", dialog).click();
  await page
    .getByRole("alertdialog")
    .getByRole("button", { name: t("share.revoke") })
    .click();
  await expect(page.getByText(t("share.revoked"), { exact: true })).toBeVisible();
  await reading.reload();
  await expect(reading.getByText(t("share.gone"))).toBeVisible();
  await stranger.close();
});

test("import what one had elsewhere, find it, keep it, delete it", async ({ page, person, t, steps, isMobile }) => {
  expect(person).toBeTruthy();
  await page.goto("/settings/data");
  const said = [
    { role: "user", text: "哪条河最长？" },
    { role: "assistant", text: "最长的河是**尼罗河**。The Nile, that is." },
  ] as const;
  const buffer = chatgptZip(["Rivers", "山与海"].map((title) => ({ title, said: [...said] })));
  await page
    .getByLabel(t("settings.data.choose"))
    .and(page.locator("input"))
    .setInputFiles({ name: "export.zip", mimeType: "application/zip", buffer });
  await expect(page.getByText(t("settings.data.status.complete"), { exact: true })).toBeVisible();
  await expect(page.getByText(t("settings.data.conversations", { count: 2, shown: "2" }))).toBeVisible();

  await page.goto("/");
  const list = await steps.sidebar();
  await list.getByRole("link", { name: "山与海" }).click();
  await expect(steps.message(1)).toContainText("尼罗河");

  if (isMobile) await (await steps.sidebar()).getByRole("button", { name: t("sidebar.search") }).click();
  else await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill("尼罗河");
  await expect(page.getByRole("option").filter({ hasText: "Rivers" })).toBeVisible();
  await page.keyboard.press("Escape");

  await steps.option("Rivers", "sidebar.pin");
  await expect((await steps.sidebar()).getByText(t("sidebar.pinned"), { exact: true })).toBeVisible();
  await steps.option("山与海", "common.delete");
  await page
    .getByRole("alertdialog")
    .getByRole("button", { name: t("common.delete") })
    .click();
  await expect((await steps.sidebar()).getByRole("link", { name: "山与海" })).toHaveCount(0);
});
