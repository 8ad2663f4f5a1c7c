import { expect, test } from "vitest";

import { caps, pressed, WRITING_KEYS } from "@/app/shortcuts";

const press = (init: KeyboardEventInit) => pressed(new KeyboardEvent("keydown", init));

test("each shortcut is known by its keys, and by no others", () => {
  expect(press({ key: "k", ctrlKey: true })).toBe("palette");
  expect(press({ key: "K", ctrlKey: true })).toBe("palette"); // with caps lock
  expect(press({ key: "k", ctrlKey: true, shiftKey: true })).toBeNull();
  expect(press({ key: "k" })).toBeNull();
  expect(press({ key: "k", ctrlKey: true, altKey: true })).toBeNull(); // AltGr writes a letter
  expect(press({ key: "O", ctrlKey: true, shiftKey: true })).toBe("newChat");
  expect(press({ key: "Escape" })).toBeNull();
  expect(press({ key: "Escape", shiftKey: true })).toBe("composer");
});

test("a sign that needs shift on some keyboards is the same shortcut", () => {
  expect(press({ key: "/", ctrlKey: true })).toBe("shortcuts");
  expect(press({ key: "/", ctrlKey: true, shiftKey: true })).toBe("shortcuts");
});

test("keys that belong to a Chinese word being written are no shortcuts", () => {
  expect(press({ key: "k", ctrlKey: true, isComposing: true })).toBeNull();
});

test("the sheet names keys as they are printed", () => {
  expect(caps(WRITING_KEYS.newLine)).toEqual(["Shift", "↵"]);
  expect(caps({ key: "k", control: true })).toEqual(["Ctrl", "K"]);
});
