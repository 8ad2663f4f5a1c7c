/** Where a message is written: Enter sends, Shift+Enter breaks the line, Stop stands in place of Send. */

import { ArrowUp, Square } from "lucide-react";
import { useEffect, useLayoutEffect, useRef, type KeyboardEvent, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { useDrop } from "@/chat/files/use-drop";
import { ComposerNote, useHeldBack } from "@/chat/limit/composer-note";
import { Button } from "@/ui/button";
import { hasKeyboard } from "@/ui/media";

export interface ComposerProps {
  text: string;
  onTextChange: (text: string) => void;
  onSend: () => void;
  /** Set while an answer is written. */
  onStop?: (() => void) | undefined;
  /** Arrow up in an empty field. */
  onEditLast?: (() => void) | undefined;
  disabled?: boolean;
  /** Takes files that are dropped here or pasted. */
  onFiles?: (files: readonly File[]) => void;
  /** Buttons at the left of the lower edge. */
  tools?: ReactNode;
  /** Above the text, such as attachments. */
  children?: ReactNode;
}

export function Composer(props: ComposerProps) {
  const { text, onTextChange, onSend, onStop, onEditLast, disabled = false, onFiles, tools, children } = props;
  const { t } = useTranslation();
  const field = useRef<HTMLTextAreaElement>(null);
  const { over, handlers } = useDrop(onFiles);

  useLayoutEffect(() => {
    const element = field.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight, 240)}px`;
  }, [text]);

  // One writes at once in a new chat, and goes on writing where sending has led to its own address.
  useEffect(() => {
    if (hasKeyboard()) field.current?.focus({ preventScroll: true });
  }, []);

  const heldBack = useHeldBack();
  const sendable = text.trim() !== "" && !disabled && !heldBack && !onStop;
  const send = () => {
    if (sendable) onSend();
  };

  const pressed = (event: KeyboardEvent) => {
    // While an input method composes Chinese, Enter and the arrows choose among its suggestions. Some browsers end
    // the composition before they tell of the key, and mark that key with 229 instead.
    if (event.nativeEvent.isComposing || event.nativeEvent.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      send();
    }
    if (event.key === "ArrowUp" && text === "" && onEditLast) {
      event.preventDefault();
      onEditLast();
    }
  };

  return (
    <div>
      <ComposerNote />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
        {...handlers}
        className={`relative rounded-2xl border bg-raised p-2 shadow-sm transition-colors focus-within:border-line-strong ${over ? "border-accent" : "border-line"}`}
      >
        {over && (
          <p className="pointer-events-none absolute inset-0 flex items-center justify-center rounded-2xl bg-accent-soft text-sm font-medium text-accent">
            {t("chat.files.drop")}
          </p>
        )}
        {children}
        <textarea
          ref={field}
          rows={1}
          value={text}
          data-composer
          dir="auto"
          onChange={(event) => onTextChange(event.target.value)}
          onKeyDown={pressed}
          placeholder={t("chat.placeholder")}
          aria-label={t("chat.message")}
          enterKeyHint="send"
          className="block max-h-60 w-full resize-none bg-transparent px-2 py-1.5 leading-6 outline-none placeholder:text-soft"
        />
        <div className="flex items-center justify-between gap-2 pt-1">
          <div className="flex min-w-0 items-center gap-1">{tools}</div>
          {onStop ? (
            <Button look="solid" size="icon" className="rounded-full" onClick={onStop} aria-label={t("chat.stop")}>
              <Square className="size-3.5 fill-current" aria-hidden />
            </Button>
          ) : (
            <Button
              look="solid"
              size="icon"
              type="submit"
              className="rounded-full"
              disabled={!sendable}
              aria-label={t("chat.send")}
            >
              <ArrowUp className="size-5" aria-hidden />
            </Button>
          )}
        </div>
      </form>
    </div>
  );
}
