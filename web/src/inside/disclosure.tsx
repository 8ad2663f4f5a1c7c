import { ChevronDown } from "lucide-react";
import type { ReactNode } from "react";
import { create } from "zustand";

type Part = "lens" | "heads";

/** Which parts are open: they stay so from token to token, since what they show is asked of the server. */
const useOpen = create<{ open: Record<Part, boolean>; toggle: (part: Part) => void }>((set) => ({
  open: { lens: false, heads: false },
  toggle: (part) => set(({ open }) => ({ open: { ...open, [part]: !open[part] } })),
}));

/** A part that costs the server work, so it is opened by whoever wants it. */
export function Disclosure({ part, title, children }: { part: Part; title: string; children: () => ReactNode }) {
  const { open, toggle } = useOpen();
  return (
    <div className="border-t border-line pt-2">
      <button
        type="button"
        aria-expanded={open[part]}
        onClick={() => toggle(part)}
        className="flex min-h-10 w-full cursor-pointer items-center justify-between gap-2 rounded text-left text-sm font-medium"
      >
        {title}
        <ChevronDown className={`size-4 shrink-0 transition-transform ${open[part] ? "" : "-rotate-90"}`} aria-hidden />
      </button>
      {open[part] && <div className="mt-1">{children()}</div>}
    </div>
  );
}
