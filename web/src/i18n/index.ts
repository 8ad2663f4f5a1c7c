/** Chinese or English: what was chosen, else the browser's first. The key of a text is what it is for. */

import i18next from "i18next";
import { initReactI18next } from "react-i18next";

import en from "./en.json";
import zh from "./zh.json";

export type Language = "en" | "zh";

export function storedLanguage(): Language {
  const stored = safeStorage("language");
  if (stored === "en" || stored === "zh") return stored;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export function setLanguage(language: Language): void {
  try {
    localStorage.setItem("language", language);
  } catch {
    // remembered until the page is closed
  }
  void i18next.changeLanguage(language);
}

function safeStorage(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function tellBrowser(language: string): void {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en"; // fonts and line breaks follow it
}

i18next.on("languageChanged", tellBrowser);
void i18next.use(initReactI18next).init({
  resources: { en: { translation: en }, zh: { translation: zh } },
  lng: storedLanguage(),
  fallbackLng: "en",
  interpolation: { escapeValue: false }, // React escapes
  returnNull: false,
});
tellBrowser(i18next.language);

export default i18next;
