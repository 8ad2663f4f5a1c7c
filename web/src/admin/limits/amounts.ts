import type { RuleLimits } from "@/api/generated/types.gen";

export const LIMITS = [
  "requests_per_minute",
  "requests_per_hour",
  "requests_per_day",
  "tokens_per_minute",
  "tokens_per_hour",
  "tokens_per_day",
  "concurrent_generations",
] as const;

export type LimitName = (typeof LIMITS)[number];

/** What stands in a field: nothing means "as the defaults", the sign of infinity "without limit". */
export const UNLIMITED = "∞";

export function typedAmounts(limits: Readonly<Record<string, number | null>>): Record<LimitName, string> {
  const typed = LIMITS.map((name) => {
    const amount = limits[name];
    return [name, amount === undefined ? "" : amount === null ? UNLIMITED : String(amount)];
  });
  return Object.fromEntries(typed) as Record<LimitName, string>;
}

/** The limits that are said, or null where a field holds no amount. */
export function readAmounts(typed: Readonly<Record<LimitName, string>>): RuleLimits | null {
  const limits: RuleLimits = {};
  for (const name of LIMITS) {
    const text = typed[name].trim();
    if (text === "") continue;
    if (text === UNLIMITED) limits[name] = null;
    else if (/^[1-9]\d{0,11}$/.test(text)) limits[name] = Number(text);
    else return null;
  }
  return limits;
}
