import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";

import { Button } from "@/ui/button";

interface EditFormProps {
  text: string;
  label: string;
  submit: string;
  onSubmit: (text: string) => Promise<boolean>;
  onClose: () => void;
}

/** A message in other words. The first one stays as an alternative. */
export function EditForm({ text, label, submit, onSubmit, onClose }: EditFormProps) {
  const { t } = useTranslation();
  const [changed, setChanged] = useState(text);
  const [sending, setSending] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    const element = field.current;
    element?.focus();
    element?.setSelectionRange(element.value.length, element.value.length);
  }, []);

  const send = async () => {
    if (changed.trim() === "" || sending) return;
    setSending(true);
    if (await onSubmit(changed)) onClose();
    else setSending(false);
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Escape") onClose();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void send();
  };
  return (
    <form
      className="w-full rounded-2xl border border-line bg-sunken p-3"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <textarea
        ref={field}
        value={changed}
        dir="auto"
        onChange={(event) => setChanged(event.target.value)}
        onKeyDown={pressed}
        aria-label={label}
        rows={Math.min(12, changed.split("\n").length + 1)}
        className="block w-full resize-none bg-transparent leading-6 outline-none"
      />
      <div className="mt-2 flex justify-end gap-2">
        <Button size="small" onClick={onClose}>
          {t("common.cancel")}
        </Button>
        <Button size="small" look="solid" type="submit" disabled={sending || changed.trim() === ""}>
          {submit}
        </Button>
      </div>
    </form>
  );
}
