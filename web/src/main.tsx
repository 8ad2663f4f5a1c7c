import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { ApiError } from "@/api/http";
import { makeRouter } from "@/app/router";
import "@/i18n";
import "@/index.css";
import { Toasts } from "@/ui/toast";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      // What the server refused it will refuse again; only a lost connection is worth another try.
      retry: (count, error) => error instanceof ApiError && error.isOffline && count < 2,
    },
  },
});

const root = document.getElementById("root");
if (!root) throw new Error("the document has no #root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={makeRouter(queries)} />
      <Toasts />
    </QueryClientProvider>
  </StrictMode>,
);
