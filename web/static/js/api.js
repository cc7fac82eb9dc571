// @ts-check
// Requests to the server; what it refuses becomes a Problem (RFC 9457).

/**
 * A token is a text, or a function that gives the current one and may have a method fresh() that renews it first.
 * @typedef {(() => string) & { fresh?: () => Promise<void> | undefined }} TokenSource
 * @typedef {string | TokenSource} Token
 */

/** Problem.status of a failure on this side: no connection between the peers, or a script that failed. */
export const localFailure = -1;

export class Problem extends Error {
  /**
   * @param {number} status the HTTP status; 0 without an answer; localFailure
   * @param {string} detail
   * @param {number} [retryAfter] in seconds, if the server said so
   * @param {string} [code] says more where the status does not say enough (API.ProblemCode)
   */
  constructor(status, detail, retryAfter, code) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
    this.code = code;
  }

  /**
   * from makes a Problem of whatever was thrown.
   * @param {unknown} error
   */
  static from(error) {
    if (error instanceof Problem) return error;
    return new Problem(localFailure, error instanceof Error ? error.message : String(error));
  }
}

/** @param {Response} response */
async function problemOf(response) {
  let detail = "";
  let code;
  try {
    if (/json/.test(response.headers.get("Content-Type") ?? "")) {
      /** @type {API.Problem} */
      const body = await response.json();
      detail = body.detail || body.error || body.title || "";
      code = body.code;
    }
  } catch {
    // The status alone has to do.
  }
  const wait = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return new Problem(response.status, detail, Number.isFinite(wait) ? wait : undefined, code);
}

/**
 * authorization gives the headers that carry a token.
 * @param {Token} [token]
 * @returns {Record<string, string>}
 */
export function authorization(token) {
  const text = typeof token === "function" ? token() : token;
  return text ? { Authorization: `Bearer ${text}` } : {};
}

/**
 * renewed waits until a token that is about to expire has been renewed, if it can be.
 * @param {Token} [token]
 */
export async function renewed(token) {
  if (typeof token === "function") await token.fresh?.();
}

/**
 * @typedef {Omit<RequestInit, "headers" | "signal"> & {
 *   token?: Token, timeout?: number, signal?: AbortSignal, headers?: Record<string, string>,
 * }} RequestOptions timeout in milliseconds
 */

/**
 * request throws a Problem unless the answer is 2xx, and the abort error when signal ends it.
 * @param {string} url
 * @param {RequestOptions} [options]
 */
export async function request(url, { token, timeout = 10000, signal, headers, ...options } = {}) {
  const signals = [AbortSignal.timeout(timeout), ...(signal ? [signal] : [])];
  let response;
  try {
    await renewed(token);
    const all = { ...authorization(token), ...headers };
    response = await fetch(url, { ...options, headers: all, signal: AbortSignal.any(signals) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, Problem.from(error).message);
  }
  // With redirect: "manual" the browser hides where the redirect leads.
  if (response.type === "opaqueredirect") throw new Problem(307, "the answer is elsewhere");
  if (!response.ok) throw await problemOf(response);
  return response;
}

/**
 * requestJSON sends json, if given, and returns the JSON of the answer; undefined for an answer without content.
 * The caller names the type that the API promises.
 * @template T
 * @param {string} url
 * @param {RequestOptions & { json?: object }} [options]
 * @returns {Promise<T>}
 */
export async function requestJSON(url, { json, ...options } = {}) {
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers = { ...options.headers, "Content-Type": "application/json" };
  }
  const response = await request(url, options);
  return response.status === 204 ? /** @type {T} */ (undefined) : response.json();
}

/**
 * @param {string} server
 * @param {string} name of the stream
 * @param {string} [rest] of the path
 */
export const streamURL = (server, name, rest = "") =>
  new URL(`/api/streams/${encodeURIComponent(name)}${rest}`, server).href;
