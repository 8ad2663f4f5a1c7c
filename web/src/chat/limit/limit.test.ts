import { afterEach, expect, it } from "vitest";

import { ApiError } from "@/api/http";
import { forgetLimit, noteLimit, useLimit } from "@/chat/limit/limit";
import { waitingTime } from "@/chat/limit/waiting-time";

afterEach(forgetLimit);

it("keeps only refusals that pass by waiting", () => {
  expect(noteLimit(new ApiError(429, "slower", null, null, 30))).toBe(true);
  expect(useLimit.getState().limit).toMatchObject({ message: "slower" });
  for (const other of [new ApiError(429, "never"), new ApiError(409, "no", null, null, 5), new Error("bug")]) {
    expect(noteLimit(other)).toBe(false);
  }
});

it("counts down by seconds, and names the end where it is far", () => {
  const now = new Date(2026, 0, 5, 12, 0).getTime();
  expect(waitingTime(now + 61_000, now, "en")).toEqual({ left: "1:01" });
  expect(waitingTime(now - 5_000, now, "en")).toEqual({ left: "0:00" });
  expect(waitingTime(now + 7_200_000, now, "zh")).toEqual({ at: "14:00" });
  expect(waitingTime(now + 86_400_000, now, "en")).toEqual({ at: "Jan 6, 2026, 12:00 PM" });
});
