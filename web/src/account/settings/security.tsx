import type { Me } from "@/api/generated/types.gen";
import { PasswordPanel } from "@/account/settings/password";
import { SessionsPanel } from "@/account/settings/sessions";

export function SecuritySection({ me }: { me: Me }) {
  return (
    <>
      {me.has_password && <PasswordPanel name={me.name} />}
      <SessionsPanel />
    </>
  );
}
