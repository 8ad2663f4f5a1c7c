import { request } from "@/api/http";

/** End this browser's session. The page is loaded anew: nothing that was shown stays in its memory. Throws ApiError. */
export async function signOut(): Promise<void> {
  await request("/api/sign-out", { method: "POST" });
  try {
    sessionStorage.clear(); // what was begun to be written
  } catch {
    // storage is forbidden, so nothing is in it
  }
  window.location.assign("/sign-in");
}
