import { useTranslation } from "react-i18next";

import { show } from "@/app/shell-state";
import { caps, PAGE_KEYS, WRITING_KEYS, type Keys } from "@/app/shortcuts";
import { Dialog } from "@/ui/dialog";

/** Every shortcut there is. */
export function ShortcutSheet() {
  const { t } = useTranslation();
  const line = (label: string, keys: Keys) => (
    <div key={label} className="flex items-center justify-between gap-4 border-b border-line py-2.5 last:border-0">
      <dt>{label}</dt>
      <dd className="flex shrink-0 gap-1">
        {caps(keys).map((cap) => (
          <kbd
            key={cap}
            className="min-w-7 rounded-md border border-line bg-sunken px-1.5 py-0.5 text-center font-sans text-xs"
          >
            {cap}
          </kbd>
        ))}
      </dd>
    </div>
  );
  return (
    <Dialog open onOpenChange={(open) => show("shortcuts", open)} title={t("shortcuts.title")}>
      <h3 className="mt-2 text-sm font-medium text-soft">{t("shortcuts.everywhere")}</h3>
      <dl className="text-sm">{namesOf(PAGE_KEYS).map((name) => line(t(`shortcuts.${name}`), PAGE_KEYS[name]))}</dl>
      <h3 className="mt-5 text-sm font-medium text-soft">{t("shortcuts.writing")}</h3>
      <dl className="text-sm">
        {namesOf(WRITING_KEYS).map((name) => line(t(`shortcuts.${name}`), WRITING_KEYS[name]))}
      </dl>
    </Dialog>
  );
}

const namesOf = <T extends object>(keys: T) => Object.keys(keys) as (keyof T)[];
