import type { TFunction } from "i18next";

import { tell } from "@/ui/toast";

/** Put a text on the clipboard and say so. */
export function copyText(text: string, t: TFunction): void {
  navigator.clipboard.writeText(text).then(
    () => tell(t("common.copied")),
    () => tell(t("common.copyFailed")), // an insecure address or a refused permission
  );
}
