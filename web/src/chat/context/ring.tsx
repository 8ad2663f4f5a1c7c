const RADIUS = 8;
const AROUND = 2 * Math.PI * RADIUS;

interface RingProps {
  /** From 0 to 1. */
  share: number;
  warns: boolean;
}

/** A circle that fills. */
export function Ring({ share, warns }: RingProps) {
  return (
    <svg viewBox="0 0 20 20" className="size-5 -rotate-90" fill="none" strokeWidth={3} aria-hidden>
      <circle cx={10} cy={10} r={RADIUS} className="stroke-line-strong opacity-40" />
      <circle
        cx={10}
        cy={10}
        r={RADIUS}
        className={`transition-[stroke-dashoffset] ${warns ? "stroke-warning" : "stroke-accent"}`}
        strokeDasharray={AROUND}
        strokeDashoffset={AROUND * (1 - Math.min(share, 1))}
      />
    </svg>
  );
}
