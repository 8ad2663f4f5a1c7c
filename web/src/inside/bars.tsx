import { clsx } from "clsx";

export interface Bar {
  key: string;
  label: string;
  /** From 0 to 1. */
  value: number;
  /** The value as text. */
  told: string;
  /** Whether this is the one that it is about. */
  marked?: boolean;
  onSelect?: () => void;
}

/** Values side by side, as bars with their numbers. */
export function Bars({ bars, label }: { bars: readonly Bar[]; label: string }) {
  return (
    <ol aria-label={label} className="flex flex-col gap-1">
      {bars.map((bar) => (
        <li
          key={bar.key}
          className="relative flex min-h-7 items-center gap-3 overflow-hidden rounded-md bg-sunken px-2"
        >
          <span
            aria-hidden
            className={clsx("absolute inset-y-0 left-0", bar.marked ? "bg-accent/30" : "bg-line")}
            style={{ width: `${Math.min(bar.value, 1) * 100}%` }}
          />
          <Label bar={bar} />
          <span className="relative shrink-0 text-xs text-ink tabular-nums">{bar.told}</span>
        </li>
      ))}
    </ol>
  );
}

function Label({ bar: { label, marked, onSelect } }: { bar: Bar }) {
  const look = clsx("relative min-w-0 grow truncate text-left font-mono text-sm", marked && "font-semibold");
  if (!onSelect) return <span className={look}>{label}</span>;
  return (
    <button
      type="button"
      onClick={onSelect}
      className={clsx(look, "cursor-pointer underline-offset-2 hover:underline")}
    >
      {label}
    </button>
  );
}
