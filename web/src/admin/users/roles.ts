import type { TFunction } from "i18next";

import type { UserInfo } from "@/api/generated/types.gen";
import type { Choice } from "@/ui/form";

export type AccountRole = UserInfo["role"];

export function roleChoices(t: TFunction): Choice<AccountRole>[] {
  return (["user", "admin"] as const).map((value) => ({ value, label: t(`admin.users.roles.${value}`) }));
}
