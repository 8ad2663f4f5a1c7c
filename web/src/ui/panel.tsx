import { clsx } from "clsx";
import type { ReactNode } from "react";

interface PanelProps {
  title: string;
  description?: ReactNode;
  /** Beside the title. */
  actions?: ReactNode;
  danger?: boolean;
  children?: ReactNode;
}

/** A part of a page with a heading of its own. */
export function Panel({ title, description, actions, danger = false, children }: PanelProps) {
  return (
    <section
      aria-label={title}
      className={clsx("rounded-2xl border bg-raised p-4 sm:p-6", danger ? "border-danger" : "border-line")}
    >
      <header className="flex flex-wrap items-start justify-between gap-x-6 gap-y-3">
        <div className="min-w-0 grow basis-64">
          <h2 className="font-semibold">{title}</h2>
          {description && <p className="mt-1 max-w-prose text-sm text-soft">{description}</p>}
        </div>
        {actions && <div className="flex flex-wrap gap-2">{actions}</div>}
      </header>
      {children && <div className="mt-4">{children}</div>}
    </section>
  );
}

const TONES = {
  plain: "bg-hover text-soft",
  good: "bg-accent-soft text-accent",
  warning: "bg-warning-soft text-warning",
  bad: "bg-danger-soft text-danger",
} as const;

export type Tone = keyof typeof TONES;

/** A word about the state of something. */
export function Badge({ tone = "plain", children }: { tone?: Tone; children: ReactNode }) {
  return (
    <span className={clsx("inline-block rounded-full px-2 py-0.5 text-xs font-medium whitespace-nowrap", TONES[tone])}>
      {children}
    </span>
  );
}
