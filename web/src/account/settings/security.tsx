import type { Me } from "@/api/generated/types.gen";
import { IdentitiesPanel } from "@/account/settings/identities";
import { PasswordPanel } from "@/account/settings/password";
import { SessionsPanel } from "@/account/settings/sessions";

export function SecuritySection({ me }: { me: Me }) {
  return (
    <>
      <PasswordPanel key={String(me.has_password)} me={me} />
      <IdentitiesPanel />
      <SessionsPanel />
    </>
  );
}
