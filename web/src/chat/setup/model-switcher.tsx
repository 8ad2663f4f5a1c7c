import { useQuery } from "@tanstack/react-query";
import { ChevronDown } from "lucide-react";
import { useTranslation } from "react-i18next";

import { modelsQuery } from "@/chat/setup/models";
import { Menu, MenuChoice } from "@/ui/menu";

const DEFAULT = "";

interface ModelSwitcherProps {
  /** Null: the server's default. */
  model: string | null;
  onChange: (model: string | null) => void;
  /** Smaller, as below a title. */
  small?: boolean;
}

/** Which model writes the next answers. */
export function ModelSwitcher({ model, onChange, small = false }: ModelSwitcherProps) {
  const { t } = useTranslation();
  const { data: models = [], isPending } = useQuery(modelsQuery);
  const first = models[0];
  const gone = model !== null && !isPending && !models.some(({ id }) => id === model);
  const name = model ?? first?.id ?? t(isPending ? "chat.header.unknown" : "chat.header.none");
  const choices = models.map(({ id }, at) => ({
    value: at === 0 ? DEFAULT : id,
    label: at === 0 ? t("chat.header.default", { name: id }) : id,
  }));
  if (gone) choices.push({ value: model, label: t("chat.header.gone", { name: model }) });
  return (
    <Menu
      align="start"
      trigger={
        <button
          type="button"
          aria-label={t("chat.header.model", { name })}
          className={`relative flex max-w-full min-w-0 cursor-pointer items-center gap-1 rounded-lg px-2 font-medium text-soft transition-colors hover:bg-hover hover:text-ink data-[state=open]:bg-hover ${small ? "h-6 text-xs before:absolute before:-inset-y-2 before:inset-x-0" : "h-10 text-sm md:h-9"} ${gone ? "text-warning" : ""}`}
        >
          <span className="truncate">{name}</span>
          <ChevronDown className="size-4 shrink-0" aria-hidden />
        </button>
      }
    >
      <p className="px-3 pt-1.5 pb-1 text-xs text-soft">{t("chat.header.choose")}</p>
      <MenuChoice
        value={model === null || model === first?.id ? DEFAULT : model}
        choices={choices}
        onChoose={(chosen) => onChange(chosen === DEFAULT ? null : chosen)}
      />
    </Menu>
  );
}
