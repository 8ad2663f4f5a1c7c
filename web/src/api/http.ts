/** Every request to the server goes through here: one form of error, the cookie, and the header against forgery. */

/** A refusal by the server, or the lack of an answer. `status` 0: nothing was reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code: string | null = null,
    readonly param: string | null = null,
    readonly retryAfterSeconds: number | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }

  get isOffline(): boolean {
    return this.status === 0;
  }
}

/** What became of a request, for those who watch over the connection and the session. */
export type Outcome = "reached" | "unreached" | "signed-out";

const listeners = new Set<(outcome: Outcome) => void>();

/** Be told of every request's outcome, as long as the page is open. */
export function onOutcome(listener: (outcome: Outcome) => void): void {
  listeners.add(listener);
}

function tell(outcome: Outcome): void {
  for (const listener of listeners) listener(outcome);
}

interface Options {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, such as a file. */
  form?: FormData;
  query?: Record<string, string | number | boolean | null | undefined>;
  signal?: AbortSignal;
}

/** The answer's JSON. Throws ApiError. */
export async function request<T>(path: string, options: Options = {}): Promise<T> {
  const response = await send(path, options);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** The answer as it is, for downloads and streams. Throws ApiError. */
export async function send(path: string, options: Options = {}): Promise<Response> {
  const { method = "GET", body, form, query, signal } = options;
  // The document's language is the page's, which may differ from the browser's: refusals are told in it.
  const headers: Record<string, string> = {
    "X-Requested-With": "chatwright",
    "Accept-Language": document.documentElement.lang,
  };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(withQuery(path, query), {
      method,
      headers,
      credentials: "same-origin",
      body: form ?? (body === undefined ? null : JSON.stringify(body)),
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    tell("unreached");
    throw new ApiError(0, "the server cannot be reached");
  }
  tell(response.status === 401 ? "signed-out" : "reached");
  if (!response.ok) throw await refusal(response);
  return response;
}

export function withQuery(path: string, query: Options["query"] = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text ? `${path}${path.includes("?") ? "&" : "?"}${text}` : path;
}

async function refusal(response: Response): Promise<ApiError> {
  const retry = Number(response.headers.get("Retry-After"));
  const after = Number.isFinite(retry) && retry > 0 ? retry : null;
  try {
    const { error } = (await response.json()) as {
      error: { message: string; code: string | null; param: string | null };
    };
    return new ApiError(response.status, error.message, error.code, error.param, after);
  } catch {
    return new ApiError(response.status, `${response.status} ${response.statusText}`, null, null, after);
  }
}
