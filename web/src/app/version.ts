/** When the server has a newer page than the one that is open, say so: what is loaded later may no longer fit. */

import i18next from "i18next";

import { tell } from "@/ui/toast";

const offer = () =>
  tell(i18next.t("app.newVersion"), { label: i18next.t("app.reload"), run: () => window.location.reload() }, true);

/** Watch for a new service worker, and for parts of the page that the server no longer has. */
export function watchVersion(): void {
  let told = false;
  const once = () => {
    if (!told) offer();
    told = true;
  };
  window.addEventListener("vite:preloadError", once);
  const workers = navigator.serviceWorker as ServiceWorkerContainer | undefined; // absent on insecure addresses
  if (!workers?.controller) return; // the first worker takes over silently: the page is its own version
  workers.addEventListener("controllerchange", once);
}
