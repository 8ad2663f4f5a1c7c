import { useTranslation } from "react-i18next";

import type { NewKeyRequest } from "@/api/generated/types.gen";

export type Scope = NonNullable<NewKeyRequest["scopes"]>[number];

const SCOPES: readonly Scope[] = ["inference", "conversations", "files", "fine_tuning", "admin"];

interface KeyScopesProps {
  /** What the caller may do: a key can do no more. */
  allowed: readonly string[];
  chosen: readonly Scope[];
  onChange: (scopes: Scope[]) => void;
}

/** What a key is for. */
export function KeyScopes({ allowed, chosen, onChange }: KeyScopesProps) {
  const { t } = useTranslation();
  return (
    <fieldset className="flex flex-col gap-1">
      <legend className="mb-1 text-sm font-medium">{t("settings.keys.scopes")}</legend>
      {SCOPES.filter((scope) => allowed.includes(scope)).map((scope) => (
        <label key={scope} className="flex min-h-10 cursor-pointer items-center gap-3 rounded-lg px-2 hover:bg-hover">
          <input
            type="checkbox"
            className="size-4 shrink-0 accent-accent"
            checked={chosen.includes(scope)}
            onChange={(event) =>
              onChange(event.target.checked ? [...chosen, scope] : chosen.filter((other) => other !== scope))
            }
          />
          <span className="text-sm">
            {t(`settings.keys.scope.${scope}`)}
            <span className="block text-soft">{t(`settings.keys.scopeHint.${scope}`)}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
