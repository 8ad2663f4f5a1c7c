/** What people do over and over, by the names that they see. */

import { expect, type Locator, type Page } from "@playwright/test";
import type { TFunction } from "i18next";

export class Steps {
  constructor(
    readonly page: Page,
    readonly t: TFunction,
    readonly isMobile: boolean,
  ) {}

  get composer(): Locator {
    return this.page.getByRole("textbox", { name: this.t("chat.message"), exact: true });
  }

  /** Messages of the branch that is shown, by their places: 0 is the first question, 1 its answer. */
  message(place: number): Locator {
    return this.page.locator("[data-message]").nth(place);
  }

  button(key: string, within: Page | Locator = this.page): Locator {
    return within.getByRole("button", { name: this.t(key), exact: true });
  }

  async ask(text: string): Promise<void> {
    await this.composer.fill(text);
    await this.composer.press("Enter");
    await expect(this.composer).toHaveValue("");
    await expect(this.page).toHaveURL(/\/c\//);
  }

  /** Ask in a new conversation, and wait for the answer's end. */
  async talk(answer: string): Promise<void> {
    await this.page.goto("/");
    await this.ask(`say: ${answer}`);
    await this.answered(1);
  }

  /** An answer is complete when it can be judged, copied, asked for again. */
  async answered(place: number): Promise<void> {
    await expect(this.button("chat.regenerate", this.message(place))).toBeVisible();
  }

  /** The list of conversations: beside the page, or in a drawer on phones. */
  async sidebar(): Promise<Locator> {
    if (!this.isMobile) return this.page.getByRole("complementary", { name: this.t("sidebar.title") });
    const drawer = this.page.getByRole("dialog", { name: this.t("sidebar.title") });
    if (!(await drawer.isVisible())) await this.button("sidebar.open").click();
    return drawer;
  }

  async option(title: string, key: string): Promise<void> {
    const list = await this.sidebar();
    await list.getByRole("button", { name: this.t("sidebar.optionsOf", { title }), exact: true }).click();
    await this.page.getByRole("menuitem", { name: this.t(key), exact: true }).click();
  }

  /** Give the newest conversation a name; what the model called it is not known. */
  async rename(title: string): Promise<string> {
    const list = await this.sidebar();
    const any = new RegExp(this.t("sidebar.optionsOf", { title: ".*" }));
    await list.getByRole("button", { name: any }).first().click();
    await this.page.getByRole("menuitem", { name: this.t("sidebar.rename"), exact: true }).click();
    const field = this.page.getByRole("textbox", { name: this.t("sidebar.rename") });
    await field.fill(title);
    await field.press("Enter");
    await expect(list.getByRole("link", { name: title })).toBeVisible();
    return title;
  }
}
