import { Paperclip } from "lucide-react";
import { useRef } from "react";
import { useTranslation } from "react-i18next";

import { Button } from "@/ui/button";

/** Opens the device's own window for choosing files. */
export function AttachButton({ onFiles }: { onFiles: (files: readonly File[]) => void }) {
  const { t } = useTranslation();
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        data-files
        onChange={({ target }) => {
          onFiles([...(target.files ?? [])]);
          target.value = ""; // the same file may be chosen once more
        }}
      />
      <Button
        look="plain"
        size="icon"
        className="max-md:size-10"
        onClick={() => input.current?.click()}
        aria-label={t("chat.files.attach")}
        title={t("chat.files.attach")}
      >
        <Paperclip className="size-5" aria-hidden />
      </Button>
    </>
  );
}
