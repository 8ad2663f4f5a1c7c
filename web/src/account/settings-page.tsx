/** One's own account and how the page looks: a section at a time. */

import { useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { ChartColumn, FolderDown, KeyRound, Lock, ShieldCheck, UserRound } from "lucide-react";
import type { ComponentType } from "react";
import { useTranslation } from "react-i18next";

import type { Me } from "@/api/generated/types.gen";
import { meQuery, setupQuery } from "@/api/session";
import { DataSection } from "@/account/settings/data";
import { KeysSection } from "@/account/settings/keys";
import { PrivacySection } from "@/account/settings/privacy";
import { ProfileSection } from "@/account/settings/profile";
import { SecuritySection } from "@/account/settings/security";
import { UsageSection } from "@/account/settings/usage";
import { NotFoundPage } from "@/app/states";
import { Sections, type SectionLink } from "@/ui/sections";

interface Section extends Omit<SectionLink, "label"> {
  content: ComponentType<{ me: Me }>;
  /** Of no use on a server that has no accounts. */
  needsAccounts?: boolean;
}

const SECTIONS: readonly [Section, ...Section[]] = [
  { id: "profile", icon: UserRound, content: ProfileSection },
  { id: "security", icon: Lock, content: SecuritySection, needsAccounts: true },
  { id: "keys", icon: KeyRound, content: KeysSection },
  { id: "usage", icon: ChartColumn, content: UsageSection },
  { id: "data", icon: FolderDown, content: DataSection },
  { id: "privacy", icon: ShieldCheck, content: PrivacySection },
];

export function SettingsPage() {
  const { t } = useTranslation();
  const { section } = useParams({ strict: false });
  const { data: me } = useSuspenseQuery(meQuery);
  const { data: setup } = useSuspenseQuery(setupQuery);
  if (me === null) return null; // signed out in this moment: the router is on its way to the door
  const offered = SECTIONS.filter(({ needsAccounts }) => setup.accounts || !needsAccounts);
  const current = section === undefined ? SECTIONS[0] : offered.find(({ id }) => id === section);
  if (!current) return <NotFoundPage />;
  const Content = current.content;
  const links = offered.map(({ id, icon }) => ({ id, icon, label: t(`settings.${id}.title`) }));
  return (
    <Sections title={t("settings.title")} base="/settings" sections={links} current={current.id}>
      <Content me={me} />
    </Sections>
  );
}
