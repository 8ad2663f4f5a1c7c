import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { ApiError, onOutcome } from "@/api/http";
import { meQuery } from "@/api/session";
import { watchConnection } from "@/app/connection";
import { makeRouter } from "@/app/router";
import { watchVersion } from "@/app/version";
import "@/i18n";
import "@/index.css";
import { Confirms } from "@/ui/confirm";
import { Toasts } from "@/ui/toast";

const queries = new QueryClient({
  defaultOptions: {
    mutations: { networkMode: "always" },
    queries: {
      networkMode: "always", // a machine without a network still reaches a server of its own
      staleTime: 30_000,
      // What the server refused it will refuse again; only a lost connection is worth another try.
      retry: (count, error) => error instanceof ApiError && error.isOffline && count < 2,
    },
  },
});

const router = makeRouter(queries);
onOutcome((outcome) => {
  // A session that ended elsewhere: ask once more who this is, and lead those who are nobody to the entrance.
  if (outcome !== "signed-out" || !queries.getQueryData(meQuery.queryKey)) return;
  queries.removeQueries({ queryKey: meQuery.queryKey });
  void router.invalidate();
});
watchConnection(() => {
  void queries.invalidateQueries();
  void router.invalidate();
});
watchVersion();

const root = document.getElementById("root");
if (!root) throw new Error("the document has no #root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
      <Confirms />
      <Toasts />
    </QueryClientProvider>
  </StrictMode>,
);
