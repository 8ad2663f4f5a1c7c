import { useTranslation } from "react-i18next";

const PERSONAS = ["tutor", "programmer", "translator", "editor", "brief", "critic"] as const;

interface PersonasProps {
  prompt: string;
  onChoose: (prompt: string) => void;
}

/** Instructions to begin with; what is chosen can be changed like one's own. */
export function Personas({ prompt, onChoose }: PersonasProps) {
  const { t } = useTranslation();
  const choices = [
    { id: "none", name: t("chat.persona.names.none"), text: "" },
    ...PERSONAS.map((id) => ({ id, name: t(`chat.persona.names.${id}`), text: t(`chat.persona.texts.${id}`) })),
  ];
  return (
    <div role="group" aria-label={t("chat.persona.presets")}>
      <p className="mb-2 text-sm font-medium" aria-hidden>
        {t("chat.persona.presets")}
      </p>
      <div className="flex flex-wrap gap-2">
        {choices.map(({ id, name, text }) => {
          const chosen = prompt.trim() === text;
          return (
            <button
              key={id}
              type="button"
              aria-pressed={chosen}
              onClick={() => onChoose(text)}
              className={`h-8 cursor-pointer rounded-full border px-3 text-sm transition-colors max-md:h-10 ${chosen ? "border-accent bg-accent-soft text-accent" : "border-line text-soft hover:bg-hover hover:text-ink"}`}
            >
              {name}
            </button>
          );
        })}
      </div>
    </div>
  );
}
