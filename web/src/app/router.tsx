/** The page's addresses. What is not needed for a first message is loaded when it is opened. */

import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";

import { meQuery, setupQuery } from "@/api/session";
import { ErrorPage, NotFoundPage, WaitingPage } from "@/app/states";
import { Shell } from "@/app/shell";
import { ChatPage } from "@/chat/chat-page";

const root = createRootRouteWithContext<{ queries: QueryClient }>()({
  errorComponent: ErrorPage,
  notFoundComponent: NotFoundPage,
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  component: lazyRouteComponent(() => import("@/account/sign-in-page"), "SignInPage"),
});
const signUp = createRoute({
  getParentRoute: () => root,
  path: "/sign-up",
  component: lazyRouteComponent(() => import("@/account/sign-up-page"), "SignUpPage"),
});
const shared = createRoute({
  getParentRoute: () => root,
  path: "/share/$token",
  component: lazyRouteComponent(() => import("@/share/shared-page"), "SharedPage"),
});

/** Everything for people with an account: the sidebar, and beside it what the address says. */
const home = createRoute({
  getParentRoute: () => root,
  id: "home",
  component: Shell,
  beforeLoad: async ({ context: { queries } }) => {
    const [setup, me] = await Promise.all([queries.ensureQueryData(setupQuery), queries.fetchQuery(meQuery)]);
    if (me === null) throw redirect({ to: setup.first_account ? "/sign-in" : "/sign-up" });
    return { me };
  },
});
const newChat = createRoute({ getParentRoute: () => home, path: "/", component: ChatPage });
const chat = createRoute({ getParentRoute: () => home, path: "/c/$conversationId", component: ChatPage });
const settings = createRoute({
  getParentRoute: () => home,
  path: "/settings",
  component: lazyRouteComponent(() => import("@/account/settings-page"), "SettingsPage"),
});
const settingsSection = createRoute({
  getParentRoute: () => home,
  path: "/settings/$section",
  component: lazyRouteComponent(() => import("@/account/settings-page"), "SettingsPage"),
});
const admin = createRoute({
  getParentRoute: () => home,
  path: "/admin",
  component: lazyRouteComponent(() => import("@/admin/admin-page"), "AdminPage"),
});
const adminSection = createRoute({
  getParentRoute: () => home,
  path: "/admin/$",
  component: lazyRouteComponent(() => import("@/admin/admin-page"), "AdminPage"),
});

const tree = root.addChildren([
  signIn,
  signUp,
  shared,
  home.addChildren([newChat, chat, settings, settingsSection, admin, adminSection]),
]);

export function makeRouter(queries: QueryClient) {
  return createRouter({
    routeTree: tree,
    context: { queries },
    defaultPreload: "intent",
    defaultPendingComponent: WaitingPage,
    scrollRestoration: false, // the thread keeps its own place
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
