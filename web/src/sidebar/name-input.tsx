import { useEffect, useRef, useState } from "react";

interface NameInputProps {
  name: string;
  label: string;
  placeholder?: string;
  /** With the new name, or null when nothing is to change. */
  onDone: (name: string | null) => void;
}

/** A name, written in its place: Enter or leaving it keeps it, Escape does not. */
export function NameInput({ name, label, placeholder, onDone }: NameInputProps) {
  const [text, setText] = useState(name);
  const input = useRef<HTMLInputElement>(null);
  const done = useRef(false);
  useEffect(() => input.current?.select(), []);
  const finish = (kept: boolean) => {
    if (done.current) return; // leaving follows Enter and Escape
    done.current = true;
    const written = text.trim();
    onDone(kept && written && written !== name ? written : null);
  };
  return (
    <input
      ref={input}
      value={text}
      aria-label={label}
      placeholder={placeholder}
      maxLength={200}
      autoFocus
      onChange={(event) => setText(event.target.value)}
      onBlur={() => finish(true)}
      onKeyDown={(event) => {
        event.stopPropagation(); // letters are no shortcuts here
        if (event.nativeEvent.isComposing) return; // Enter ends a Chinese word, not the name
        if (event.key === "Enter") finish(true);
        if (event.key === "Escape") finish(false);
      }}
      className="h-9 w-full rounded-lg border border-accent bg-surface px-2 text-base outline-none max-md:h-11 md:text-sm"
    />
  );
}
