/** Requests that change something, and what the page does after them. */

import { useMutation, useQueryClient, type QueryKey } from "@tanstack/react-query";
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
      for (const queryKey of stale) void queries.invalidateQueries({ queryKey });
      if (told) tell(told);
      onDone?.(result, input);
    },
    onError: (error) => {
      if (!quiet) tellError(error, t("app.offline"));
    },
  });
}
