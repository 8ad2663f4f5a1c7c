import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { act, renderHook, waitFor } from "@testing-library/react";
import type { PropsWithChildren } from "react";
import { expect, test } from "vitest";

import { useChange } from "@/api/change";

test("a change during the first fetch is seen", async () => {
  const queries = new QueryClient();
  const answers: ((names: string[]) => void)[] = [];
  const wrapper = ({ children }: PropsWithChildren) => (
    <QueryClientProvider client={queries}>{children}</QueryClientProvider>
  );
  const { result } = renderHook(
    () => ({
      list: useQuery({ queryKey: ["list"], queryFn: () => new Promise<string[]>((answer) => answers.push(answer)) }),
      add: useChange(() => Promise.resolve(), { stale: [["list"]] }),
    }),
    { wrapper },
  );
  await act(() => result.current.add.mutateAsync());
  await waitFor(() => expect(answers).toHaveLength(2));
  act(() => {
    answers[0]?.([]);
    answers[1]?.(["added"]);
  });
  await waitFor(() => expect(result.current.list.data).toEqual(["added"]));
});
