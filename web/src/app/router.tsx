/** The page's addresses. What is not needed for a first message is loaded when it is opened. */

import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";

import { wantsInvitation } from "@/account/sign-in-error";
import { meQuery, setupQuery } from "@/api/session";
import { safePlace } from "@/app/places";
import { Alone, ErrorPage, NotFoundPage, WaitingPage } from "@/app/states";
import { Shell } from "@/app/shell";
import { ChatPage } from "@/chat/chat-page";

interface Context {
  queries: QueryClient;
}

const root = createRootRouteWithContext<Context>()({
  errorComponent: (props) => (
    <Alone>
      <ErrorPage {...props} />
    </Alone>
  ),
  notFoundComponent: () => (
    <Alone>
      <NotFoundPage />
    </Alone>
  ),
});

interface Entrance {
  /** Where to go once signed in. */
  to?: string | undefined;
  /** Why an identity provider led back in vain. */
  error?: string;
  /** A code, for those who come by a link that holds one. */
  invitation?: string;
}

function entrance({ to, error, invitation }: Record<string, unknown>): Entrance {
  return {
    ...(typeof to === "string" ? { to } : {}),
    ...(typeof error === "string" ? { error } : {}),
    ...(typeof invitation === "string" ? { invitation } : {}),
  };
}

/** The pages for people who are not signed in; who is, goes on. */
const leaveIfKnown = async ({ context: { queries }, search }: { context: Context; search: Entrance }) => {
  const [, me] = await Promise.all([queries.ensureQueryData(setupQuery), queries.ensureQueryData(meQuery)]);
  if (me !== null) throw redirect({ to: safePlace(search.to) });
};
const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: entrance,
  beforeLoad: leaveIfKnown,
  component: lazyRouteComponent(() => import("@/account/sign-in-page"), "SignInPage"),
});
const signUp = createRoute({
  getParentRoute: () => root,
  path: "/sign-up",
  validateSearch: entrance,
  beforeLoad: leaveIfKnown,
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
  validateSearch: ({ sign_in_error: code }: Record<string, unknown>): { sign_in_error?: string } =>
    typeof code === "string" ? { sign_in_error: code } : {},
  beforeLoad: async ({ context: { queries }, search: { sign_in_error: error }, location }) => {
    const [setup, me] = await Promise.all([
      queries.ensureQueryData(setupQuery),
      queries.ensureQueryData({ ...meQuery, revalidateIfStale: true }),
    ]);
    if (me !== null) return { me };
    const search: Entrance = {
      ...(location.pathname === "/" ? {} : { to: location.href }),
      ...(error === undefined ? {} : { error }),
    };
    throw redirect({ to: !setup.first_account || wantsInvitation(error) ? "/sign-up" : "/sign-in", search });
  },
});
const newChat = createRoute({ getParentRoute: () => home, path: "/", component: ChatPage });
const chat = createRoute({ getParentRoute: () => home, path: "/c/$conversationId", component: ChatPage });
const temporary = createRoute({
  getParentRoute: () => home,
  path: "/temporary",
  component: lazyRouteComponent(() => import("@/chat/temporary/temporary-page"), "TemporaryPage"),
});
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
  home.addChildren([newChat, chat, temporary, settings, settingsSection, admin, adminSection]),
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
