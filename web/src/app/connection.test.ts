import { beforeEach, expect, test, vi } from "vitest";

import { request } from "@/api/http";
import { useConnection, watchConnection } from "@/app/connection";

const back = vi.fn();
const server = vi.fn<() => Promise<Response>>();
const up = () => server.mockImplementation(() => Promise.resolve(new Response("{}")));
const down = () => server.mockImplementation(() => Promise.reject(new TypeError("no route")));
const reachable = () => useConnection.getState().reachable;

vi.useFakeTimers();
vi.stubGlobal("fetch", server);
watchConnection(back);

beforeEach(async () => {
  up();
  window.dispatchEvent(new Event("online"));
  await vi.advanceTimersByTimeAsync(0);
  back.mockClear();
  server.mockClear();
});

test("a request that reaches nothing says so, and knocking goes on until somebody answers", async () => {
  down();
  await expect(request("/api/me")).rejects.toMatchObject({ isOffline: true });
  expect(reachable()).toBe(false);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(server.mock.calls.length).toBeGreaterThan(2);
  expect(back).not.toHaveBeenCalled();
  up();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(reachable()).toBe(true);
  expect(back).toHaveBeenCalledOnce();
  server.mockClear();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(server).not.toHaveBeenCalled();
});

test("a machine without a network still has its own server", async () => {
  window.dispatchEvent(new Event("offline"));
  await vi.advanceTimersByTimeAsync(0);
  expect(server).toHaveBeenCalledWith("/health", expect.anything());
  expect(reachable()).toBe(true);
});

test("an answer that was on its way already does not hide that the connection is lost", async () => {
  down();
  window.dispatchEvent(new Event("offline"));
  await vi.advanceTimersByTimeAsync(0);
  expect(reachable()).toBe(false);
  server.mockImplementationOnce(() => Promise.resolve(new Response("{}")));
  await request("/api/me");
  await vi.advanceTimersByTimeAsync(0);
  expect(reachable()).toBe(false);
  expect(back).not.toHaveBeenCalled();
});

test("a refusal is an answer", async () => {
  server.mockImplementation(() => Promise.resolve(new Response("{}", { status: 404 })));
  await expect(request("/api/me")).rejects.toMatchObject({ status: 404 });
  expect(reachable()).toBe(true);
});
