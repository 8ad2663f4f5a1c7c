import type { RatingBody } from "@/api/generated/types.gen";

export type Reason = NonNullable<RatingBody["reasons"]>[number];

/** Why an answer is good, and why it is bad. */
export const REASONS = {
  up: ["correct", "helpful", "well_written", "creative", "other"],
  down: [
    "incorrect",
    "not_followed",
    "incomplete",
    "too_long",
    "lazy",
    "wrong_language",
    "bad_style",
    "unsafe",
    "refused",
    "other",
  ],
} as const satisfies Record<string, readonly Reason[]>;
