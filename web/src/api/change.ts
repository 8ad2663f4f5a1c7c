/** Requests that change something, and what the page does after them. */

import { useMutation, useQueryClient, type QueryClient, type QueryKey } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import { tell, tellError } from "@/ui/toast";

interface After<Result, Input> {
  /** Lists that are not right any more. */
  stale?: readonly QueryKey[];
  /** Said when it is done. */
  told?: string;
  onDone?: (result: Result, input: Input) => void;
  /** Errors are shown by the form itself. */
  quiet?: boolean;
}

export function useChange<Result = void, Input = void>(
  run: (input: Input) => Promise<Result>,
  { stale = [], told, onDone, quiet = false }: After<Result, Input> = {},
) {
  const queries = useQueryClient();
  const { t } = useTranslation();
  return useMutation({
    mutationFn: run,
    onSuccess: (result, input) => {
      for (const queryKey of stale) void fetchAgain(queries, queryKey);
      if (told) tell(told);
      onDone?.(result, input);
    },
    onError: (error) => {
      if (!quiet) tellError(error, t("app.offline"));
    },
  });
}

/** What is being fetched for the first time is as it was before the change, and would be taken for what is now. */
async function fetchAgain(queries: QueryClient, queryKey: QueryKey): Promise<void> {
  await queries.cancelQueries({ queryKey });
  await queries.invalidateQueries({ queryKey });
}
