// Requests to the server; what it refuses becomes a Problem (RFC 9457).

export class Problem extends Error {
  // status is the HTTP code, 0 when there was no answer; retryAfter is in seconds, if the server said so.
  constructor(status, detail, retryAfter, code) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
    this.code = code; // where the status does not tell enough
  }
}

export async function problemOf(response) {
  let detail = "";
  let code;
  try {
    if (/json/.test(response.headers.get("Content-Type") ?? "")) {
      const body = await response.json();
      detail = body.detail || body.error || body.title || "";
      code = body.code;
    }
  } catch {
    // Then the code has to do.
  }
  const wait = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return new Problem(response.status, detail, Number.isFinite(wait) ? wait : undefined, code);
}

// A token is a text, or a function that gives the one of the moment and may have a method fresh() that renews it first.
export function authorization(token) {
  const text = typeof token === "function" ? token() : token;
  return text ? { Authorization: `Bearer ${text}` } : {};
}

// request throws a Problem unless the answer is 2xx.
export async function request(url, { token, timeout = 10000, signal, headers, ...options } = {}) {
  const signals = [AbortSignal.timeout(timeout), ...(signal ? [signal] : [])];
  let response;
  try {
    await token?.fresh?.();
    response = await fetch(url, { ...options, headers: { ...authorization(token), ...headers }, signal: AbortSignal.any(signals) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, error.message);
  }
  if (response.type === "opaqueredirect") throw new Problem(307, "the answer is elsewhere"); // with redirect: "manual", which hides where
  if (!response.ok) throw await problemOf(response);
  return response;
}

export async function requestJSON(url, { json, ...options } = {}) {
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers = { ...options.headers, "Content-Type": "application/json" };
  }
  const response = await request(url, options);
  return response.status === 204 ? undefined : response.json();
}

export const streamURL = (server, name, rest = "") => new URL(`/api/streams/${encodeURIComponent(name)}${rest}`, server).href;
