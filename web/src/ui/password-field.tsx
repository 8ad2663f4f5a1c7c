import { Eye, EyeOff } from "lucide-react";
import { useState, type ComponentProps } from "react";
import { useTranslation } from "react-i18next";

import { Button } from "@/ui/button";
import { Field } from "@/ui/field";

/** A password, which can be looked at. */
export function PasswordField(props: Omit<ComponentProps<typeof Field>, "type" | "end">) {
  const { t } = useTranslation();
  const [shown, setShown] = useState(false);
  const Icon = shown ? EyeOff : Eye;
  return (
    <Field
      {...props}
      type={shown ? "text" : "password"}
      autoCapitalize="none"
      spellCheck={false}
      end={
        <Button
          look="plain"
          size="icon"
          onClick={() => setShown(!shown)}
          aria-label={t(shown ? "account.hidePassword" : "account.showPassword")}
          aria-pressed={shown}
        >
          <Icon className="size-4" aria-hidden />
        </Button>
      }
    />
  );
}
