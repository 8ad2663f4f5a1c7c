/** A text whose tokens can be chosen one by one, with the mouse, a finger or the arrow keys. */

import { clsx } from "clsx";
import { memo, useEffect, useRef, type CSSProperties, type KeyboardEvent } from "react";

import type { Spelled } from "@/inside/spelling";
import { tokenBeside } from "@/inside/token-keys";

export interface TokenLook {
  className?: string;
  style?: CSSProperties;
}

interface TokenTextProps {
  tokens: readonly Spelled[];
  label: string;
  selected: number;
  onSelect: (position: number) => void;
  lookOf: (token: Spelled) => TokenLook;
  /** What a screen reader says of a token. */
  nameOf: (token: Spelled) => string;
}

export function TokenText({ tokens, label, selected, onSelect, lookOf, nameOf }: TokenTextProps) {
  const box = useRef<HTMLDivElement>(null);
  const byKey = useRef(false);
  useEffect(() => {
    const option = box.current?.querySelector<HTMLElement>('[aria-selected="true"]');
    if (byKey.current) option?.focus();
    option?.scrollIntoView({ block: "nearest" });
    byKey.current = false;
  }, [selected]);

  const keyed = (event: KeyboardEvent<HTMLDivElement>) => {
    const target = event.target as HTMLElement;
    const next = tokenBeside(target, event.key);
    if (next === null) return;
    event.preventDefault();
    byKey.current = true;
    onSelect(Number(next.dataset.position));
  };
  const clicked = (target: EventTarget) => {
    const option = (target as HTMLElement).closest<HTMLElement>("[data-position]");
    if (option) onSelect(Number(option.dataset.position));
  };
  return (
    <div
      ref={box}
      role="listbox"
      aria-label={label}
      onKeyDown={keyed}
      onClick={(event) => clicked(event.target)}
      className="leading-8 wrap-anywhere whitespace-pre-wrap max-md:leading-9"
    >
      {tokens.map((token) => {
        const { className, style } = lookOf(token);
        return (
          <Token
            key={token.position}
            token={token}
            name={nameOf(token)}
            selected={token.position === selected}
            className={className ?? ""}
            background={style?.backgroundColor}
          />
        );
      })}
    </div>
  );
}

interface TokenProps {
  token: Spelled;
  name: string;
  selected: boolean;
  className: string;
  background: string | undefined;
}

/** Memoised by plain values: of thousands of tokens only those that change are drawn again. */
const Token = memo(function Token({ token, name, selected, className, background }: TokenProps) {
  const { shown, position } = token;
  return (
    <span
      role="option"
      aria-selected={selected}
      aria-label={name}
      tabIndex={selected ? 0 : -1}
      data-position={position}
      {...(background ? { style: { backgroundColor: background } } : {})}
      className={clsx(
        "cursor-pointer rounded-xs border-r border-raised py-1 outline-accent hover:outline-1",
        "focus-visible:outline-2 focus-visible:outline-offset-0",
        token.token.control && "font-mono text-xs text-soft",
        selected && "outline-2",
        className,
      )}
    >
      {shown === "" ? <span className="text-xs text-soft">·</span> : shown.replaceAll("\n", "↵\n")}
    </span>
  );
});
