import { useTranslation } from "react-i18next";

const IDEAS = ["explain", "write", "translate", "summarise"] as const;

/** What one sees before the first question. */
export function Welcome({ onChoose }: { onChoose: (text: string) => void }) {
  const { t } = useTranslation();
  return (
    <div className="text-center">
      <h1 className="mb-6 text-2xl font-semibold">{t("chat.welcome")}</h1>
      <ul className="grid gap-2 text-left sm:grid-cols-2">
        {IDEAS.map((idea) => (
          <li key={idea}>
            <button
              type="button"
              onClick={() => {
                onChoose(t(`chat.ideas.${idea}`));
                document.querySelector<HTMLTextAreaElement>("[data-composer]")?.focus();
              }}
              className="h-full w-full cursor-pointer rounded-xl border border-line px-4 py-3 text-left text-sm text-soft transition-colors hover:bg-hover hover:text-ink"
            >
              {t(`chat.ideas.${idea}`)}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
