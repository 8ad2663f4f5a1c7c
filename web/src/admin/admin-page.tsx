/** What administrators see and do: a section at a time. */

import { useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import {
  Boxes,
  ChartColumn,
  ClipboardCheck,
  Gauge,
  GraduationCap,
  HeartPulse,
  ScrollText,
  Settings2,
  ShieldAlert,
  ThumbsUp,
  UserCog,
} from "lucide-react";
import type { ComponentType } from "react";
import { useTranslation } from "react-i18next";

import { AuditSection } from "@/admin/audit";
import { EvaluationsSection } from "@/admin/evaluations";
import { FeedbackSection } from "@/admin/feedback";
import { HealthSection } from "@/admin/health";
import { JobsSection } from "@/admin/jobs/jobs";
import { LimitsSection } from "@/admin/limits/limits";
import { ModelsSection } from "@/admin/models/models";
import { ModerationSection } from "@/admin/moderation/moderation";
import { ServerSettingsSection } from "@/admin/server-settings";
import { UsageSection } from "@/admin/usage";
import { UsersSection } from "@/admin/users/users";
import { meQuery } from "@/api/session";
import { Message, NotFoundPage } from "@/app/states";
import { Sections, type SectionLink } from "@/ui/sections";

interface Section extends Omit<SectionLink, "label"> {
  /** `item`: the rest of the address, such as a job's id. */
  content: ComponentType<{ item: string | null }>;
}

const SECTIONS: readonly [Section, ...Section[]] = [
  { id: "users", icon: UserCog, content: UsersSection },
  { id: "limits", icon: Gauge, content: LimitsSection },
  { id: "usage", icon: ChartColumn, content: UsageSection },
  { id: "models", icon: Boxes, content: ModelsSection },
  { id: "jobs", icon: GraduationCap, content: JobsSection },
  { id: "evaluations", icon: ClipboardCheck, content: EvaluationsSection },
  { id: "feedback", icon: ThumbsUp, content: FeedbackSection },
  { id: "moderation", icon: ShieldAlert, content: ModerationSection },
  { id: "settings", icon: Settings2, content: ServerSettingsSection },
  { id: "audit", icon: ScrollText, content: AuditSection },
  { id: "health", icon: HeartPulse, content: HealthSection },
];

export function AdminPage() {
  const { t } = useTranslation();
  const { _splat: place = "" } = useParams({ strict: false });
  const { data: me } = useSuspenseQuery(meQuery);
  if (me?.role !== "admin") {
    return <Message icon={<ShieldAlert className="size-10" />} title={t("admin.onlyAdmins")} />;
  }
  const [id, item = null, more] = place.split("/");
  const current = id ? SECTIONS.find((section) => section.id === id) : SECTIONS[0];
  if (!current || more) return <NotFoundPage />;
  const Content = current.content;
  const links = SECTIONS.map((section) => ({ ...section, label: t(`admin.${section.id}.title`) }));
  return (
    <Sections title={t("admin.title")} base="/admin" sections={links} current={current.id}>
      <Content item={item} />
    </Sections>
  );
}
