import { useTranslation } from "react-i18next";

/** Tells screen readers that an answer begins and ends; token by token nobody could listen to. */
export function Announcer({ writing }: { writing: boolean }) {
  const { t } = useTranslation();
  return (
    <p role="status" className="sr-only">
      {t(writing ? "chat.writing" : "chat.ready")}
    </p>
  );
}
