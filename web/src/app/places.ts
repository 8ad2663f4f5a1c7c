/** Where to go once signed in: only to an address of this page, wherever a link wants to lead. */
export function safePlace(to: string | undefined): string {
  return to !== undefined && /^\/(?![/\\])/.test(to) ? to : "/";
}
