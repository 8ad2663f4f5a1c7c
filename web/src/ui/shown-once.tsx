import { Copy } from "lucide-react";
import { useTranslation } from "react-i18next";

import { Button } from "@/ui/button";
import { copyText } from "@/ui/copy";

interface ShownOnceProps {
  label: string;
  secret: string;
  onDone: () => void;
}

/** A secret that the server has already forgotten: to be copied now. */
export function ShownOnce({ label, secret, onDone }: ShownOnceProps) {
  const { t } = useTranslation();
  return (
    <div className="flex flex-col gap-4">
      <div className="flex items-center gap-2 rounded-lg border border-line-strong bg-sunken p-2 pl-3">
        <input
          readOnly
          aria-label={label}
          value={secret}
          onFocus={(event) => event.target.select()}
          className="min-w-0 grow bg-transparent font-mono text-sm"
        />
        <Button size="small" look="solid" onClick={() => copyText(secret, t)} autoFocus>
          <Copy className="size-4" aria-hidden />
          {t("common.copy")}
        </Button>
      </div>
      <Button className="self-end" onClick={onDone}>
        {t("common.done")}
      </Button>
    </div>
  );
}
