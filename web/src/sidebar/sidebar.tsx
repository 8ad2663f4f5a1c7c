import { useTranslation } from "react-i18next";

export function Sidebar() {
  const { t } = useTranslation();
  return <aside aria-label={t("app.name")} className="w-72 border-r border-line bg-sunken" />;
}
