import type { ReactNode } from "react";

/** The text, which scrolls; what there is to say of it is beside it, or below on phones. */
export function Halves({ text, details, label }: { text: ReactNode; details: ReactNode; label: string }) {
  return (
    <>
      <div className="relative min-h-0 grow basis-0 overflow-y-auto p-4 md:p-6">{text}</div>
      <section
        aria-label={label}
        tabIndex={0}
        className="max-h-[46dvh] shrink-0 overflow-y-auto border-line p-4 max-md:border-t md:max-h-none md:w-96 md:border-l md:p-6"
      >
        {details}
      </section>
    </>
  );
}
